"""Keeps a handful of programs running: starts them in order, restarts what dies, stops all in the reverse order."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

from faas.embedded.process import Child, Program
from faas.errors import PlatformError

_log = logging.getLogger(__name__)
_POLL = 0.1
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
# One that ran this long is healthy: the next restart is quick again.
_HEALTHY_SECONDS = 30.0
_HOPELESS = 3


class _Slot:
    """A program and its current run."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.child = Child(program)
        self.ends = 0
        self._pause = _FIRST_PAUSE
        self._restart_at: float | None = None

    def tend(self) -> None:
        """Start the program again, after a pause that grows, where it has died."""
        status = self.child.status
        if status is None:
            return
        now = time.monotonic()
        if self._restart_at is None:
            self._plan(status, now)
        elif now >= self._restart_at:
            self._restart_at = None
            self.child.kill()
            try:
                self.child = Child(self.program)
            except PlatformError as error:
                _log.warning("%s", error)

    def _plan(self, status: int, now: float) -> None:
        self.ends += 1
        if now - self.child.started > _HEALTHY_SECONDS:
            self._pause = _FIRST_PAUSE
        _log.warning(
            "%s ended with status %d; it starts again in %g s (see %s)",
            self.program.name,
            status,
            self._pause,
            self.program.log,
        )
        self._restart_at = now + self._pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)


class Supervisor:
    """Runs programs. All but `request_stop` belong to one thread: the kernel ends the children with the thread that started them."""

    def __init__(self) -> None:
        self._slots: list[_Slot] = []
        self._stop = threading.Event()

    @property
    def stopping(self) -> bool:
        """Whether `request_stop` was called."""
        return self._stop.is_set()

    def request_stop(self) -> None:
        """Make `start` and `run` return soon. From any thread, or a signal handler."""
        self._stop.set()

    def start(self, program: Program, seconds: float) -> bool:
        """Start a program and wait until it serves.

        Returns:
            False where a stop was requested meanwhile.

        Raises:
            PlatformError: it does not start, or does not serve within `seconds`.
        """
        if self.stopping:
            return False
        slot = _Slot(program)
        self._slots.append(slot)
        return slot.child.wait_ready(seconds, lambda: self.stopping)

    def tend(self) -> None:
        """Look after all programs once."""
        for slot in self._slots:
            slot.tend()

    def check_start(self) -> None:
        """Look after them once while the whole is still starting, when a program that dies again and again is an error in what it was given.

        Raises:
            PlatformError: one has died too often; one line with the last of its output.
        """
        self.tend()
        for slot in self._slots:
            if slot.ends >= _HOPELESS:
                raise PlatformError(f"{slot.program.name} ends at once, again and again; {slot.child.last_words()}")

    def run(self) -> None:
        """Look after them until a stop is requested."""
        while not self._stop.wait(_POLL):
            self.tend()

    def stop(self, order: Sequence[str]) -> None:
        """Stop them one after another.

        Args:
            order: names, first to stop first; programs that it leaves out are stopped last.
        """
        ranks = {name: rank for rank, name in enumerate(order)}
        for slot in sorted(self._slots, key=lambda one: ranks.get(one.program.name, len(ranks))):
            slot.child.stop()
        self._slots.clear()
