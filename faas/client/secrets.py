"""`client.secrets`: text that functions are given and nobody is shown."""

from __future__ import annotations

from faas.client import calls
from faas.client.records import Secret
from faas.client.transport import Transport


class Secrets:
    """Calls of `/secrets`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def set(self, name: str, value: str) -> Secret:
        """Give a secret a value; it is made where it is not there. Functions that are bound to it get a new revision.

        Raises:
            Conflict: the server has no key to encrypt with.
            Invalid: the name or the value can't be taken.
        """
        return Secret.from_json(self._transport.send(calls.set_secret(name, value)).json())

    def list(self) -> list[Secret]:
        """All of them, by name. No call gives a value back."""
        answer = self._transport.send(calls.list_secrets()).json()
        return [Secret.from_json(item) for item in answer["items"]]

    def delete(self, name: str) -> None:
        """Remove a secret. Raises NotFound, and Conflict while a function is bound to it."""
        self._transport.send(calls.delete_secret(name))
