"""Sends calls from an event loop, by the rules of `faas.client.policy`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import httpx
import tenacity

from faas.client.policy import Again, Call, Settings, broken, judge, limits, strategy


class AsyncTransport:
    """A pool of connections to a controller, for one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._http = httpx.AsyncClient(base_url=settings.url, headers=settings.headers(), limits=limits())

    async def send(self, call: Call, patience: float | None = None) -> httpx.Response:
        """The answer of a call; the arguments and exceptions are those of `Transport.send`."""
        try:
            return await tenacity.AsyncRetrying(**strategy(self._settings.retries, patience))(self._once, call)
        except Again as again:
            raise again.error from again.error.__cause__

    @contextlib.asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[httpx.Response]:
        """The answer of a call while it comes; sent once. Raises like `send`, and Again."""
        try:
            async with self._http.stream(**self._settings.request(call)) as response:
                if not response.is_success:
                    await response.aread()
                judge(call, response)
                yield response
        except httpx.HTTPError as error:
            raise broken(call, self._settings, error) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _once(self, call: Call) -> httpx.Response:
        try:
            response = await self._http.request(**self._settings.request(call))
        except httpx.HTTPError as error:
            raise broken(call, self._settings, error) from error
        judge(call, response)
        return response
