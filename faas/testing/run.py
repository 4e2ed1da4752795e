"""What became of one call in a test."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from faas.client.errors import FunctionRaised, InvocationFailed, PlatformFailed, TimedOut
from faas.domain.invocation import Status
from faas.domain.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Run:
    """One call.

    Attributes:
        status: `succeeded`, `failed` or `timed_out`.
        result: what the function returned, as JSON has it.
        type, message, stack_trace: of a failure; None and empty where there was none.
        logs: what it printed.
        cold_start: whether the code was loaded for it, which took `init_ms`.
        memory_peak_mb: None where it is not known, as in process.
    """

    status: str
    result: Any
    type: str | None
    message: str | None
    stack_trace: tuple[str, ...]
    logs: str
    init_ms: int
    duration_ms: int
    cold_start: bool
    memory_peak_mb: float | None

    @classmethod
    def of(cls, outcome: Outcome) -> Run:
        """From what an engine says."""
        failure = outcome.failure
        return cls(
            status=outcome.status.value,
            result=None if outcome.result is None else json.loads(outcome.result),
            type=failure.type if failure else None,
            message=failure.message if failure else None,
            stack_trace=failure.stack_trace if failure else (),
            logs=outcome.logs.decode("utf-8", "replace"),
            init_ms=outcome.init_ms,
            duration_ms=outcome.duration_ms,
            cold_start=outcome.cold_start,
            memory_peak_mb=outcome.memory_peak_mb,
        )

    def failure(self) -> InvocationFailed | None:
        """The exception that `faas.client` would raise; None where it succeeded."""
        if self.type is None:
            return None
        kind: type[InvocationFailed] = FunctionRaised
        if self.status == Status.TIMED_OUT:
            kind = TimedOut
        elif self.type.startswith("Platform."):
            kind = PlatformFailed
        return kind(self.type, self.message or "", self.stack_trace)
