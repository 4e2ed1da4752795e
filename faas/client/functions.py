"""`client.functions`: keep functions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from faas.client import calls
from faas.client.errors import WaitTimeout
from faas.client.invocations import followed, pages
from faas.client.policy import Call
from faas.client.records import Function, LogLine
from faas.client.sse import Reader
from faas.client.transport import Transport

LOOK_S = 0.2


class Functions:
    """Calls of `/functions`. A `ref` is a function's id or name."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self, name: str, runtime: str, code: str | bytes | Path, handler: str | None = None, **settings: Any
    ) -> Function:
        """Create a function.

        Args:
            runtime: `python`, `nodejs` or `go`.
            code: source text; or the bytes of a source file or archive; or the path of a file, or of a folder that is packed.
            handler: `main.handler`, `index.handler` or `main` by the runtime where left out.
            settings: what else the API takes: `version`, `timeout`, `memory_mb`, `cpus`, `max_concurrency`, `network`, `retry`, `environment`,
                `metadata`, `secrets`, `http`. Durations are text (`"30s"`), seconds, or `timedelta`.

        Raises:
            Conflict: the name is taken.
            Invalid: a field is wrong; `errors` names it.
        """
        return self._one(calls.create_function(name, runtime, code, handler, settings))

    def update(self, ref: str, *, code: str | bytes | Path | None = None, **changes: Any) -> Function:
        """Change some of a function's fields: makes a new revision. The arguments are those of `create`."""
        return self._one(calls.update_function(ref, code, changes))

    def get(self, ref: str) -> Function:
        """One function. Raises NotFound."""
        return self._one(calls.get_function(ref))

    def list(self, *, name: str | None = None, limit: int = 200) -> Iterator[Function]:
        """All functions, newest first, page by page as they are asked for."""
        for item in pages(self._transport, "/functions", {"name": name, "limit": limit}):
            yield Function.from_json(item)

    def delete(self, ref: str) -> None:
        """Delete a function: its queued invocations are cancelled, running ones finish. Raises NotFound."""
        self._transport.send(calls.delete_function(ref))

    def follow(self, ref: str, last: int = 0, dropped: Callable[[int], None] | None = None) -> Iterator[LogLine]:
        """What all invocations of a function print, while they print it, without end; each line names its invocation.

        Args:
            last: of those that have ended, the newest so many come first; at most 50.
            dropped: told how many lines were left out so far, where some were since they were read too slowly.

        Raises:
            NotFound. ConnectionFailed, Unavailable: the connection broke too often.
        """
        reader, told = Reader(endless=True), 0
        for line in followed(self._transport, reader, lambda: calls.follow_function(ref, last, reader.last_id), ref):
            if dropped is not None and reader.dropped > told:
                told = reader.dropped
                dropped(told)
            yield line

    def wait(self, ref: str, timeout: float = 120.0) -> Function:
        """The function once it is no longer `building`: `active`, or `failed` with its `state_reason`. Go programs take seconds. Raises WaitTimeout."""
        deadline = time.monotonic() + timeout
        while (found := self.get(ref)).state == "building":
            if time.monotonic() >= deadline:
                raise WaitTimeout(f"The function {ref} is still building after {timeout:g} s.")
            time.sleep(LOOK_S)
        return found

    def _one(self, call: Call) -> Function:
        return Function.from_json(self._transport.send(call).json())
