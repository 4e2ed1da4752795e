"""What became of one attempt. User faults are outcomes; platform faults are exceptions until the worker makes outcomes of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from faas.domain.invocation import Status

TIMEOUT = "Function.Timeout"
OUT_OF_MEMORY = "Function.OutOfMemory"
EXIT_ERROR = "Function.ExitError"
INIT_ERROR = "Function.InitError"
INVALID_RESULT = "Function.InvalidResult"
RESULT_TOO_LARGE = "Function.ResultTooLarge"
WORKER_LOST = "Platform.WorkerLost"
SANDBOX_ERROR = "Platform.SandboxError"

_IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]{0,127}")


@dataclass(frozen=True, slots=True)
class Failure:
    """The `error` of an invocation. `stack_trace` is a list of lines, outermost call first."""

    type: str
    message: str
    stack_trace: tuple[str, ...] = ()

    @property
    def is_platform(self) -> bool:
        """Whether the platform is at fault: retried whatever the function's `retry` says."""
        return self.type.startswith("Platform.")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt.

    Attributes:
        status: a terminal status.
        result: JSON text, for `succeeded` alone.
        failure: for every other status.
        logs: both streams in order of arrival, raw bytes, already capped.
        init_ms: loading the code on a cold start, else 0.
        duration_ms: from the handler's start to its end.
        memory_peak_mb: None where it can't be known.
    """

    status: Status
    result: str | None = None
    failure: Failure | None = None
    logs: bytes = b""
    init_ms: int = 0
    duration_ms: int = 0
    cold_start: bool = False
    memory_peak_mb: float | None = None


def failed(type_: str, message: str, stack_trace: tuple[str, ...] = ()) -> Outcome:
    """A `failed` outcome with the given error."""
    return Outcome(Status.FAILED, failure=Failure(type_, message, stack_trace))


def timed_out(message: str) -> Outcome:
    """A `timed_out` outcome."""
    return Outcome(Status.TIMED_OUT, failure=Failure(TIMEOUT, message))


def cancelled(message: str = "Cancelled on request.") -> Outcome:
    """A `cancelled` outcome."""
    return Outcome(Status.CANCELLED, failure=Failure("Cancelled", message))


def class_name(text: object) -> str:
    """The `error.type` for a function's own exception: its class name where that is a plain identifier, else `Error`."""
    return text if isinstance(text, str) and _IDENTIFIER.fullmatch(text) else "Error"
