"""Ctrl-C and SIGTERM: they end what is measured, and wait while something is cleared away."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

_NUMBERS = (signal.SIGINT, signal.SIGTERM)


class _Interrupts:
    """What has arrived, and how deep in clearing away the main thread is."""

    def __init__(self) -> None:
        self.depth = 0
        self.arrived = False

    def handle(self, *_: object) -> None:
        """The handler. Once is enough: a second one must not cut off what the first began to end."""
        if self.arrived:
            return
        self.arrived = True
        if not self.depth:
            raise KeyboardInterrupt


_interrupts = _Interrupts()


def listen() -> None:
    """Let both signals raise KeyboardInterrupt from now on. The main thread only."""
    for number in _NUMBERS:
        signal.signal(number, _interrupts.handle)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """While it is entered, an interruption waits for its end."""
    before = _interrupts.arrived
    _interrupts.depth += 1
    try:
        yield
    finally:
        _interrupts.depth -= 1
    if _interrupts.arrived and not before and not _interrupts.depth:
        raise KeyboardInterrupt
