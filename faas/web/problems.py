"""Errors as RFC 9457 problem documents. Nothing of the inside is ever in one: that goes to the log, under the request's id."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from http import HTTPStatus

from flask import Flask, Response, g
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from faas.errors import (
    BrokerDown,
    ClientError,
    DatabaseDown,
    Invalid,
    PlatformError,
    QueueFull,
    RateLimited,
    StorageError,
)
from faas.web.render import json_answer

_log = logging.getLogger("faas.web")
MEDIA_TYPE = "application/problem+json"
_WORDS: tuple[tuple[type[PlatformError], str], ...] = (
    (DatabaseDown, "The database does not answer."),
    (BrokerDown, "The broker does not answer."),
    (QueueFull, "As many invocations are queued as may be."),
    (StorageError, "The code storage does not answer."),
    (PlatformError, "The platform can't do this at the moment."),
)


def install(app: Flask) -> None:
    """Make every error of the application a problem document."""
    app.register_error_handler(ClientError, _client_error)
    app.register_error_handler(PlatformError, _platform_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)


def problem(
    status: int,
    title: str,
    detail: str,
    *,
    errors: Mapping[str, list[str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem document.

    Args:
        errors: for a validation error, the fields to what is wrong with them.
        headers: more of the answer's headers.
    """
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return json_answer(document | ({"errors": errors} if errors else {}), status, headers, MEDIA_TYPE)


def _client_error(error: ClientError) -> Response:
    errors = error.errors if isinstance(error, Invalid) else None
    headers = {"WWW-Authenticate": g.challenge} if error.status == HTTPStatus.UNAUTHORIZED else None
    if isinstance(error, RateLimited):
        headers = {"Retry-After": str(error.retry_after_s)}
    return problem(error.status, error.title, str(error) or error.title, errors=errors, headers=headers)


def _platform_error(error: PlatformError) -> Response:
    fields = {"fields": {"request_id": g.get("request_id")}}
    if isinstance(error, QueueFull):
        # Nothing is broken here, and there may be thousands a second.
        _log.warning("refused: %s", error, extra=fields)
    else:
        _log.error("platform error", exc_info=error, extra=fields)
    word = next(word for kind, word in _WORDS if isinstance(error, kind))
    # A random time, so that those who were refused together don't come back together.
    headers = {"Retry-After": str(random.randint(1, 5))}  # noqa: S311 (no secret)
    return problem(503, "Service Unavailable", f"{word} Try again.", headers=headers)


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    title = HTTPStatus(status).phrase
    headers = {
        name: value
        for name, value in error.get_headers()
        if name.lower() not in ("content-type", "content-length", "location")
    }
    if isinstance(error, NotFound):
        return problem(status, title, "There is nothing at this path.")
    if isinstance(error, MethodNotAllowed):
        return problem(
            status, title, f"The path takes {', '.join(sorted(error.valid_methods or ()))}.", headers=headers
        )
    return problem(status, title, error.description or title, headers=headers)


def _unexpected(error: Exception) -> Response:
    _log.error("unexpected error", exc_info=error, extra={"fields": {"request_id": g.get("request_id")}})
    return problem(
        500, "Internal Server Error", "The platform failed. Its log has the reason under the id in X-Request-ID."
    )
