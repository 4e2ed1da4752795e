"""Many invocations through the batch endpoint, with bounded memory."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections import deque
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

from faas.client import calls
from faas.client.batches import Batches
from faas.client.errors import WaitTimeout
from faas.client.handle import Handle
from faas.client.invocations import Invocations
from faas.client.transport import Transport

if TYPE_CHECKING:
    from concurrent.futures import Future

_READERS = 8
_READ_S = 2.0
# A platform that is full says 503 and when to come back: the work is there to be done, so it is asked for long.
PATIENCE_S = 600.0
LOOK_S = 1.0


class Mapper:
    """One function over many payloads."""

    def __init__(self, transport: Transport, invocations: Invocations, source: Batches) -> None:
        self._transport, self._invocations, self._source = transport, invocations, source

    def in_order(self) -> Generator[Handle, None, None]:
        """Handles that have ended, in the order of the payloads."""
        from concurrent.futures import ThreadPoolExecutor

        waiting = deque[Handle]()
        reading: deque[Future[Handle]] = deque()
        left = threading.Event()
        with ThreadPoolExecutor(_READERS, "faas-map") as readers:
            try:
                while True:
                    self._fill(waiting, len(reading))
                    while waiting and len(reading) < 2 * _READERS:
                        reading.append(readers.submit(_ended, waiting.popleft(), left))
                    if not reading:
                        return
                    yield reading.popleft().result()
            finally:
                left.set()
                for future in reading:
                    future.cancel()

    def as_ended(self) -> Generator[Handle, None, None]:
        """Handles that have ended, the first to end first (as nearly as looking once a second tells)."""
        batches: dict[str, dict[str, Handle]] = {}
        while True:
            free = self._source.window - sum(len(left) for left in batches.values())
            while free > 0 and (items := self._source.take(free)):
                batch_id, handles = self._send(items)
                batches[batch_id] = {handle.id: handle for handle in handles}
                free -= len(handles)
            if not batches:
                return
            for batch_id in list(batches):
                yield from self._newly_ended(batch_id, batches[batch_id])
                if not batches[batch_id]:
                    del batches[batch_id]
            self._pause(batches)

    def _fill(self, waiting: deque[Handle], reading: int) -> None:
        free = self._source.room(len(waiting) + reading)
        while free > 0 and (items := self._source.take(free)):
            waiting.extend(self._send(items)[1])
            free -= len(items)

    def _send(self, items: list[dict[str, Any]]) -> tuple[str, list[Handle]]:
        document = self._transport.send(calls.batch(items), patience=PATIENCE_S).json()
        return document["batch_id"], [Handle(self._invocations, one) for one in document["invocation_ids"]]

    def _newly_ended(self, batch_id: str, left: dict[str, Handle]) -> Iterator[Handle]:
        ended = [one.id for one in self._invocations.list(batch_id=batch_id) if one.terminal and one.id in left]
        # Lists are newest first.
        for id_ in reversed(ended):
            yield left.pop(id_)

    def _pause(self, batches: dict[str, dict[str, Handle]]) -> None:
        """Until the oldest ends, a second at most: the server wakes us, nothing is asked for in vain."""
        oldest = next(itertools.chain.from_iterable(batches.values()), None)
        if oldest is not None:
            self._invocations.get(oldest, wait=LOOK_S)


def _ended(handle: Handle, left: threading.Event) -> Handle:
    """The handle when it has ended, or soon after nobody reads the results any more."""
    while not left.is_set():
        with contextlib.suppress(WaitTimeout):
            handle.wait(_READ_S)
            break
    return handle
