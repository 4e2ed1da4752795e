"""The client for asyncio: what `Client` has, with `await`. A test holds the two against each other."""

from faas.client.aio.client import AsyncClient
from faas.client.aio.handle import AsyncHandle

__all__ = ["AsyncClient", "AsyncHandle"]
