"""The function that a test holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from faas.domain.duration import parse_duration
from faas.domain.ids import uuid7
from faas.domain.outcome import Outcome
from faas.sandbox.call import Call
from faas.testing.run import Run


class Place(Protocol):
    """Where a function runs."""

    def call(self, call: Call) -> Outcome:
        """Run one call."""
        ...

    def close(self) -> None:
        """Leave nothing behind."""
        ...


class FunctionUnderTest:
    """A function that can be called: in this process, or in a sandbox.

    Attributes:
        mode: `process`, `sandbox`, `simple` or `container`.
        last: the last call, None before the first.
    """

    def __init__(self, place: Place, mode: str, timeout_ms: int) -> None:
        self._place, self._timeout_ms = place, timeout_ms
        self.mode = mode
        self.last: Run | None = None

    def __call__(
        self, payload: Any = None, *, headers: Mapping[str, str] | None = None, timeout: str | float | None = None
    ) -> Any:
        """What the function returns for a payload, as JSON has it.

        Args:
            timeout: for this call, shorter than the function's own.

        Raises:
            FunctionRaised: it raised, or died (`.type` is its exception's class, or `Function.OutOfMemory` and the like).
            TimedOut: it was over its time.
        """
        run = self.run(payload, headers=headers, timeout=timeout)
        if (failure := run.failure()) is not None:
            raise failure
        return run.result

    def run(
        self, payload: Any = None, *, headers: Mapping[str, str] | None = None, timeout: str | float | None = None
    ) -> Run:
        """The whole story of one call, whatever became of it: result or failure, log, times. The arguments are those of a plain call."""
        bound = self._timeout_ms if timeout is None else min(self._timeout_ms, parse_duration(timeout))
        call = Call(uuid7(), json.dumps(payload, allow_nan=False), dict(headers or {}), bound)
        self.last = Run.of(self._place.call(call))
        return self.last

    @property
    def logs(self) -> str:
        """What the last call printed."""
        return self.last.logs if self.last else ""

    def close(self) -> None:
        """Destroy its sandbox."""
        self._place.close()
