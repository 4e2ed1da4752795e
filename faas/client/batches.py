"""The payloads of a map, cut into batches. No I/O, and the same for both clients."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from faas.client import calls

# The API's bounds are 1,000 items and 32 MiB; an item may have 6 MiB.
_BATCH_ITEMS = 500
_BATCH_BYTES = 8 * 1024 * 1024
_NOTHING = object()


class Batches:
    """Reads payloads as they are needed.

    Args:
        options: as in `Client.invoke`, for each.
        window: how many may be under way.

    Raises:
        ValueError: `window` is less than 1.
    """

    def __init__(self, function: str, options: Mapping[str, Any], payloads: Iterable[Any], window: int) -> None:
        if window < 1:
            raise ValueError("window: must be at least 1")
        self._function, self._options, self.window = function, dict(options), window
        self._payloads = iter(payloads)
        self._back: Any = _NOTHING

    def take(self, most: int) -> list[dict[str, Any]]:
        """The next items of a batch, at most so many; none once there are no more."""
        items: list[dict[str, Any]] = []
        size = 0
        while len(items) < min(most, _BATCH_ITEMS):
            payload = self._next()
            if payload is _NOTHING:
                break
            size += len(json.dumps(payload))
            if items and size > _BATCH_BYTES:
                self._back = payload
                break
            items.append(calls.invocation(self._function, payload, **self._options))
        return items

    def room(self, under_way: int) -> int:
        """How many to send now: none before half a window is free, so that batches are large and never wait for the last of the one before."""
        free = self.window - under_way
        return free if free * 2 >= self.window else 0

    def _next(self) -> Any:
        if self._back is not _NOTHING:
            value, self._back = self._back, _NOTHING
            return value
        return next(self._payloads, _NOTHING)
