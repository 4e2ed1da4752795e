"""A small client of the HTTP API."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote

from faas.errors import PlatformError

_SECONDS = 120
_LONGEST_WAIT = 60


class Client:
    """Calls of a controller.

    Args:
        url: `http://host:port`.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def deploy(self, function: dict[str, Any]) -> dict[str, Any]:
        """Create the function; one that has its name goes first."""
        self._call("DELETE", f"/functions/{quote(function['name'])}", allowed=(404,))
        return self._call("POST", "/functions", function)

    def function(self, ref: str) -> dict[str, Any]:
        """A function's record."""
        return self._call("GET", f"/functions/{quote(ref)}")

    def invoke(self, ref: str, payload: Any, seconds: float = 300) -> dict[str, Any]:
        """Invoke a function and wait for the end.

        Args:
            seconds: how long to wait at most; a first build of a Go function takes its time.

        Returns:
            The record; it is not terminal where the time is over.
        """
        deadline = time.monotonic() + seconds
        body = {"function_id": ref, "payload": payload}
        record = self._call("POST", "/invoke", body, headers={"Prefer": f"wait={_wait(deadline)}"})
        while record.get("status") in ("queued", "running") and time.monotonic() < deadline:
            record = self._call("GET", f"/invocations/{record['id']}?wait={_wait(deadline)}")
        return record

    def _call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        allowed: tuple[int, ...] = (),
    ) -> dict[str, Any]:
        """The answer's JSON. Raises PlatformError for an answer that is none, or an error that is not `allowed`."""
        request = urllib.request.Request(  # noqa: S310 - always our own http://
            self._url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **(headers or {})},
        )
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as response:  # noqa: S310
                return dict(json.loads(response.read() or b"{}"))
        except urllib.error.HTTPError as error:
            with error:
                detail = error.read(4096).decode(errors="replace")
            if error.code in allowed:
                return {}
            raise PlatformError(f"{method} {path} was answered with {error.code}: {detail}") from None
        except (OSError, ValueError, TypeError) as error:
            raise PlatformError(f"{method} {path} failed: {error}") from None


def _wait(deadline: float) -> int:
    """Whole seconds until the deadline, as far as the API takes them."""
    return int(min(max(deadline - time.monotonic(), 0), _LONGEST_WAIT))
