"""A small client of the HTTP API."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote

from faas.errors import PlatformError

_SECONDS = 120


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

    def invoke(self, ref: str, payload: Any, wait: int = 60) -> dict[str, Any]:
        """Invoke a function.

        Args:
            wait: seconds to wait for the end.

        Returns:
            The record; it may not be terminal when the time is over.
        """
        return self._call(
            "POST", "/invoke", {"function_id": ref, "payload": payload}, headers={"Prefer": f"wait={wait}"}
        )

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
