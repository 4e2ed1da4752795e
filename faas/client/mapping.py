"""Many invocations through the batch endpoint, with bounded memory."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from faas.client import calls
from faas.client.errors import WaitTimeout
from faas.client.handle import Handle
from faas.client.invocations import Invocations
from faas.client.transport import Transport

if TYPE_CHECKING:
    from concurrent.futures import Future

# The API's bounds are 1,000 items and 32 MiB; an item may have 6 MiB.
_BATCH_ITEMS = 500
_BATCH_BYTES = 8 * 1024 * 1024
_READERS = 8
_READ_S = 2.0
# A platform that is full says 503 and when to come back: the work is there to be done, so it is asked for long.
_PATIENCE_S = 600.0
_LOOK_S = 1.0


class Mapper:
    """One function over many payloads.

    Args:
        options: as in `Client.invoke`, for each.
        window: how many may be under way.
    """

    def __init__(
        self,
        transport: Transport,
        invocations: Invocations,
        function: str,
        options: Mapping[str, Any],
        window: int,
    ) -> None:
        if window < 1:
            raise ValueError("window: must be at least 1")
        self._transport, self._invocations = transport, invocations
        self._function, self._options, self._window = function, dict(options), window

    def in_order(self, payloads: Iterable[Any]) -> Generator[Handle, None, None]:
        """Handles that have ended, in the order of the payloads."""
        from concurrent.futures import ThreadPoolExecutor

        source, waiting = _Source(payloads), deque[Handle]()
        reading: deque[Future[Handle]] = deque()
        left = threading.Event()
        with ThreadPoolExecutor(_READERS, "faas-map") as readers:
            try:
                while True:
                    self._fill(source, waiting, len(reading))
                    while waiting and len(reading) < 2 * _READERS:
                        reading.append(readers.submit(_ended, waiting.popleft(), left))
                    if not reading:
                        return
                    yield reading.popleft().result()
            finally:
                left.set()
                for future in reading:
                    future.cancel()

    def as_ended(self, payloads: Iterable[Any]) -> Generator[Handle, None, None]:
        """Handles that have ended, the first to end first (as nearly as looking once a second tells)."""
        source = _Source(payloads)
        batches: dict[str, dict[str, Handle]] = {}
        while True:
            under_way = sum(len(left) for left in batches.values())
            while under_way < self._window and (items := self._take(source, self._window - under_way)):
                batch_id, handles = self._send(items)
                batches[batch_id] = {handle.id: handle for handle in handles}
                under_way += len(handles)
            if not batches:
                return
            for batch_id in list(batches):
                yield from self._newly_ended(batch_id, batches[batch_id])
                if not batches[batch_id]:
                    del batches[batch_id]
            self._pause(batches)

    def _fill(self, source: _Source, waiting: deque[Handle], reading: int) -> None:
        """Send more where half a window is free, so that batches are large and never wait for the last of the one before."""
        free = self._window - len(waiting) - reading
        if free * 2 < self._window:
            return
        while free > 0 and (items := self._take(source, free)):
            waiting.extend(self._send(items)[1])
            free -= len(items)

    def _take(self, source: _Source, most: int) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        size = 0
        while len(items) < min(most, _BATCH_ITEMS):
            payload = source.next()
            if payload is _NOTHING:
                break
            size += len(json.dumps(payload))
            if items and size > _BATCH_BYTES:
                source.put_back(payload)
                break
            items.append(calls.invocation(self._function, payload, **self._options))
        return items

    def _send(self, items: list[dict[str, Any]]) -> tuple[str, list[Handle]]:
        document = self._transport.send(calls.batch(items), patience=_PATIENCE_S).json()
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
            self._invocations.get(oldest, wait=_LOOK_S)


def _ended(handle: Handle, left: threading.Event) -> Handle:
    """The handle when it has ended, or soon after nobody reads the results any more."""
    while not left.is_set():
        with contextlib.suppress(WaitTimeout):
            handle.wait(_READ_S)
            break
    return handle


_NOTHING = object()


class _Source:
    """The payloads, with room to put one back."""

    def __init__(self, payloads: Iterable[Any]) -> None:
        self._payloads = iter(payloads)
        self._back: Any = _NOTHING

    def next(self) -> Any:
        if self._back is not _NOTHING:
            value, self._back = self._back, _NOTHING
            return value
        return next(self._payloads, _NOTHING)

    def put_back(self, value: Any) -> None:
        self._back = value
