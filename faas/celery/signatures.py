"""The signature of a function."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from celery import Celery, Signature

from faas.celery.names import CALL
from faas.client.calls import plain

_BEFORE: Any = object()


def function(
    name: str,
    payload: Any = _BEFORE,
    *,
    headers: Mapping[str, str] | None = None,
    timeout: str | float | timedelta | None = None,
    expires_in: str | float | timedelta | None = None,
    app: Celery | None = None,
    **options: Any,
) -> Signature:
    """A signature that runs a function of the platform.

    Args:
        name: the function's name or id.
        payload: any JSON; where it is left out, what comes before: the result of the step before in a chain, the list of results in the body of a
            chord, the argument of `.delay(payload)`.
        headers, timeout, expires_in: as in `Client.invoke`.
        app: the application that sends it; the current one where left out.
        options: Celery's own, such as `queue`.

    Returns:
        A signature for `delay`, `apply_async`, `chain`, `group`, `chord`, `link`, `link_error`. The task returns what the function returned, and
        fails with `FunctionRaised`, `TimedOut`, `Cancelled` or `PlatformFailed`.
    """
    given = plain({"headers": dict(headers) if headers else None, "timeout": timeout, "expires_in": expires_in})
    fixed = payload is not _BEFORE
    return Signature(
        CALL,
        args=(payload,) if fixed else (),
        kwargs={"function": name, **given},
        options=options,
        # With a payload of its own it takes none from the step before.
        immutable=fixed,
        app=app,
    )
