"""`client.secrets` for asyncio."""

from __future__ import annotations

from faas.client import calls
from faas.client.aio.transport import AsyncTransport
from faas.client.records import Secret


class AsyncSecrets:
    """Calls of `/secrets`; the methods are those of `Secrets`."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def set(self, name: str, value: str) -> Secret:
        """Give a secret a value. Raises Conflict, Invalid."""
        return Secret.from_json((await self._transport.send(calls.set_secret(name, value))).json())

    async def list(self) -> list[Secret]:
        """All of them, by name. No call gives a value back."""
        answer = (await self._transport.send(calls.list_secrets())).json()
        return [Secret.from_json(item) for item in answer["items"]]

    async def delete(self, name: str) -> None:
        """Remove a secret. Raises NotFound, and Conflict while a function is bound to it."""
        await self._transport.send(calls.delete_secret(name))
