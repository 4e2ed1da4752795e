"""Sends calls, again where that is right, and turns what comes back into answers or exceptions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from faas.client.policy import Again, Call, Settings, broken, judge, limits, strategy

if TYPE_CHECKING:
    import httpx


class Transport:
    """A pool of connections to a controller. It connects at the first call, and may be used by many threads."""

    def __init__(self, settings: Settings) -> None:
        import httpx

        self._settings = settings
        self._http = httpx.Client(base_url=settings.url, headers=settings.headers(), limits=limits())

    def send(self, call: Call, patience: float | None = None) -> httpx.Response:
        """The answer of a call, read whole.

        Args:
            patience: send it again for so many seconds, however often; the client's number of retries where left out.

        Raises:
            ConnectionFailed: there was none.
            ProblemError: the API refused.
        """
        import tenacity

        try:
            return tenacity.Retrying(**strategy(self._settings.retries, patience))(self._once, call)
        except Again as again:
            raise again.error from again.error.__cause__

    @contextlib.contextmanager
    def stream(self, call: Call) -> Iterator[httpx.Response]:
        """The answer of a call while it comes; sent once. Raises like `send`."""
        import httpx

        try:
            # Keep-alive comments come every 10 s: silence for longer means that the connection is dead.
            with self._http.stream(**self._settings.request(call)) as response:
                if not response.is_success:
                    response.read()
                judge(call, response)
                yield response
        except httpx.HTTPError as error:
            raise broken(call, self._settings, error) from error

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _once(self, call: Call) -> httpx.Response:
        import httpx

        try:
            response = self._http.request(**self._settings.request(call))
        except httpx.HTTPError as error:
            raise broken(call, self._settings, error) from error
        judge(call, response)
        return response
