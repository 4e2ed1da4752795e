"""What the client raises, whole. It mirrors the API's answers and the ways in which an invocation can end.

FaasError
├── ConnectionFailed       no answer: the address, the network, or a controller that is away
├── WaitTimeout            the invocation has not ended in the time that the caller gave; it goes on
├── ProblemError           the API refused (RFC 9457); `status`, `title`, `detail`, `errors`, `problem`
│   ├── BadRequest         400
│   ├── Unauthorized       401
│   ├── Forbidden          403
│   ├── NotFound           404
│   ├── Conflict           409
│   ├── TooLarge           413
│   ├── Invalid            422  `errors` names the fields
│   ├── TooManyRequests    429
│   └── Unavailable        502, 503, 504 after all retries
└── InvocationFailed       it ended, and not well; `record`, `type`, `message`, `stack_trace`
    ├── FunctionRaised     the function's own exception, or its death (`Function.OutOfMemory`, `Function.ExitError` …)
    ├── TimedOut           it ran longer than its timeout
    ├── Cancelled          somebody cancelled it, or it expired before it was started
    └── PlatformFailed     the platform is at fault (`Platform.…`)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from faas.errors import FaasError

if TYPE_CHECKING:
    from faas.client.records import Invocation

__all__ = [
    "BadRequest",
    "Cancelled",
    "Conflict",
    "ConnectionFailed",
    "FaasError",
    "Forbidden",
    "FunctionRaised",
    "Invalid",
    "InvocationFailed",
    "NotFound",
    "PlatformFailed",
    "ProblemError",
    "TimedOut",
    "TooLarge",
    "TooManyRequests",
    "Unauthorized",
    "Unavailable",
    "WaitTimeout",
    "failure_of",
    "problem_of",
]


class ConnectionFailed(FaasError):
    """No answer came. What was asked for may have been done all the same, where it had no Idempotency-Key."""


class WaitTimeout(FaasError, TimeoutError):
    """The invocation has not ended in the time given to wait for it. It goes on, and can be waited for again."""


class ProblemError(FaasError):
    """The API refused, with a problem document.

    Args:
        status: of HTTP.
        problem: the document; empty where the answer held none (it came from a proxy).
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = dict(problem)
        self.title = str(problem.get("title") or f"HTTP {status}")
        self.detail = str(problem.get("detail") or self.title)
        self.errors: dict[str, list[str]] = dict(problem.get("errors") or {})
        super().__init__(status, self.problem)

    def __str__(self) -> str:
        fields = "".join(f"\n  {name}: {' '.join(messages)}" for name, messages in self.errors.items())
        return (
            f"{self.status} {self.title}: {self.detail}{fields}"
            if not fields
            else f"{self.status} {self.title}{fields}"
        )


class BadRequest(ProblemError):
    """The body is not JSON."""


class Unauthorized(ProblemError):
    """No key, or a wrong one: set `FAAS_API_KEY`."""


class Forbidden(ProblemError):
    """The key does not reach that far."""


class NotFound(ProblemError):
    """There is no such function or invocation."""


class Conflict(ProblemError):
    """The state forbids it: a name that is taken, an invocation that has ended."""


class TooLarge(ProblemError):
    """Over a size."""


class Invalid(ProblemError):
    """A field is wrong; `errors` names it."""


class TooManyRequests(ProblemError):
    """Over a rate or quota, and still after the retries."""


class Unavailable(ProblemError):
    """The platform can't do it at the moment, and could not during the retries."""


class InvocationFailed(FaasError):
    """An invocation ended, and not well.

    Args:
        type_: the record's `error.type`.
        message: its `error.message`.
        stack_trace: its `error.stack_trace`, innermost call last. It is shown below the exception as a note.
        record: the whole record, where there is one.
    """

    def __init__(
        self, type_: str, message: str, stack_trace: Sequence[str] = (), record: Invocation | None = None
    ) -> None:
        self.type, self.message, self.stack_trace, self.record = type_, message, list(stack_trace), record
        # Without the record: these travel as JSON through result backends.
        super().__init__(type_, message, self.stack_trace)
        if self.stack_trace:
            where = f"{record.function_name}, invocation {record.id}" if record else "the function"
            self.add_note(f"Stack trace in the sandbox ({where}):\n" + "\n".join(self.stack_trace))

    def __str__(self) -> str:
        return f"{self.type}: {self.message}"


class FunctionRaised(InvocationFailed):
    """The function raised, or died: `type` is its exception's class, or `Function.…`."""


class TimedOut(InvocationFailed):
    """It ran longer than its timeout."""


class Cancelled(InvocationFailed):
    """It was cancelled, or expired before it was started."""


class PlatformFailed(InvocationFailed):
    """The platform is at fault, and its own retries did not help."""


_BY_STATUS: dict[int, type[ProblemError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    422: Invalid,
    429: TooManyRequests,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def problem_of(status: int, document: Any) -> ProblemError:
    """The exception for an answer of 400 or above.

    Args:
        document: the answer's JSON; anything else counts as an empty document.
    """
    known = document if isinstance(document, Mapping) else {}
    return _BY_STATUS.get(status, ProblemError)(status, known)


def failure_of(record: Invocation) -> InvocationFailed | None:
    """The exception for a terminal record; None for one that succeeded."""
    if record.status == "succeeded":
        return None
    error = record.error or {}
    type_ = str(error.get("type") or ("Cancelled" if record.status == "cancelled" else "Error"))
    message = str(error.get("message") or f"The invocation {record.id} ended {record.status}.")
    kind: type[InvocationFailed] = FunctionRaised
    if record.status == "cancelled":
        kind = Cancelled
    elif record.status == "timed_out":
        kind = TimedOut
    elif type_.startswith("Platform."):
        kind = PlatformFailed
    return kind(type_, message, error.get("stack_trace") or (), record)
