"""A handle of one invocation."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, overload

from faas.client.calls import LONGEST_HOLD_S
from faas.client.errors import InvocationFailed, WaitTimeout, failure_of
from faas.client.records import Event, Invocation, LogLine

if TYPE_CHECKING:
    from faas.client.invocations import Invocations

LEAST_PAUSE_S = 0.2


class Handle:
    """One invocation. It costs nothing to make: `client.handle(id)` goes on with one from anywhere.

    Args:
        record: where it is known already.
    """

    def __init__(self, invocations: Invocations, invocation_id: str, record: Invocation | None = None) -> None:
        self._invocations = invocations
        self.id = invocation_id
        self._record = record

    def __repr__(self) -> str:
        return f"<Handle {self.id} {self._record.status if self._record else '?'}>"

    def result(self, timeout: float | None = None) -> Any:
        """What the function returned. The server holds its answers meanwhile: nothing is polled.

        Args:
            timeout: seconds to wait at most; None for as long as it takes.

        Raises:
            WaitTimeout: it has not ended by then. It goes on.
            FunctionRaised, TimedOut, Cancelled, PlatformFailed: it ended so.
        """
        record = self.wait(timeout)
        if (failure := failure_of(record)) is not None:
            raise failure
        return record.result

    def exception(self, timeout: float | None = None) -> InvocationFailed | None:
        """What `result` would raise for how it ended; None where it succeeded. Raises WaitTimeout."""
        return failure_of(self.wait(timeout))

    def wait(self, timeout: float | None = None) -> Invocation:
        """The terminal record, however it ended. Raises WaitTimeout."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not (self._record and self._record.terminal):
            asked, hold = time.monotonic(), slice_of(deadline)
            self._record = self._invocations.get(self.id, wait=hold)
            if self._record.terminal:
                break
            if deadline is not None and time.monotonic() >= deadline:
                raise WaitTimeout(f"The invocation {self.id} is {self._record.status} after {timeout:g} s.")
            # A controller that stops answers early, and the next one may not be there yet.
            if time.monotonic() - asked < min(hold, LEAST_PAUSE_S):
                time.sleep(LEAST_PAUSE_S)
        return self._record

    def record(self) -> Invocation:
        """The record as it is now."""
        if not (self._record and self._record.terminal):
            self._record = self._invocations.get(self.id)
        return self._record

    def status(self) -> str:
        """`queued`, `running`, `succeeded`, `failed`, `timed_out` or `cancelled`."""
        return self.record().status

    def done(self) -> bool:
        """Whether it has ended."""
        return self.record().terminal

    @overload
    def logs(self, follow: Literal[False] = False) -> str: ...

    @overload
    def logs(self, follow: Literal[True]) -> Iterator[LogLine]: ...

    def logs(self, follow: bool = False) -> str | Iterator[LogLine]:
        """What its last attempt printed; with `follow` line by line, while it prints, until it has ended."""
        return self._invocations.follow(self.id) if follow else self._invocations.logs(self.id)

    def cancel(self) -> Invocation:
        """Cancel it; a running one is stopped within about a second. Raises Conflict where it has ended."""
        return self._invocations.cancel(self.id)

    def events(self) -> list[Event]:
        """What happened to it so far, in order."""
        return self._invocations.events(self.id)

    def replay(self, revision: Literal["pinned", "newest"] = "pinned") -> Handle:
        """Run it once more, as a new invocation. Raises Conflict where it has not ended."""
        return self._invocations.replay(self.id, revision)


def slice_of(deadline: float | None) -> float:
    """For how long the next answer may be held."""
    return LONGEST_HOLD_S if deadline is None else max(0.0, min(LONGEST_HOLD_S, deadline - time.monotonic()))
