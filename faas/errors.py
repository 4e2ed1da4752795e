"""The error tree of the platform, whole.

    FaasError
    ├── ClientError            the caller's request can't be done; status and title of the answer
    │   ├── BadRequest         400  the body is not JSON
    │   ├── Unauthorized       401
    │   ├── Forbidden          403
    │   ├── NotFound           404
    │   ├── Conflict           409
    │   ├── TooLarge           413
    │   ├── UnsupportedMedia   415
    │   ├── Invalid            422  names the fields that are wrong
    │   └── RateLimited        429  the key has made all the calls of this minute
    ├── FunctionError          the user's code is at fault
    │   ├── InvocationFailed   an invocation ended failed or timed out (what `AsyncResult.get` raises)
    │   └── InvocationCancelled    it was cancelled
    └── PlatformError          the platform itself failed; what it was doing may be tried again
        ├── ConfigError        a variable of the environment can't be right
        ├── DatabaseDown       PostgreSQL does not answer
        ├── BrokerDown         Redis does not answer
        ├── QueueFull          as many invocations are queued as may be
        ├── StorageError       a code package can't be kept or read
        └── SandboxError       a sandbox can't be made, reached or trusted

A function's failure is no exception here: it is an `Outcome` (`faas.domain.outcome`). Libraries' errors are translated in the module
that calls the library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class FaasError(Exception):
    """Whatever the platform raises on purpose."""


class ClientError(FaasError):
    """The caller's request can't be done; nothing was changed."""

    status = 400
    title = "Bad Request"


class BadRequest(ClientError):
    """The body is not what RFC 8259 calls JSON."""


class Unauthorized(ClientError):
    """No key, or a wrong one."""

    status = 401
    title = "Unauthorized"


class Forbidden(ClientError):
    """The key is right and does not reach that far."""

    status = 403
    title = "Forbidden"


class NotFound(ClientError):
    """There is no such thing."""

    status = 404
    title = "Not Found"


class Conflict(ClientError):
    """The state of the thing forbids it."""

    status = 409
    title = "Conflict"


class TooLarge(ClientError):
    """Over a size limit."""

    status = 413
    title = "Content Too Large"


class UnsupportedMedia(ClientError):
    """Another media type than JSON."""

    status = 415
    title = "Unsupported Media Type"


class Invalid(ClientError):
    """Fields that are missing, unknown, of the wrong type or out of bounds.

    Args:
        errors: a field's name (dotted for nested ones) to what is wrong with it.
        detail: one sentence; made from `errors` when left out.
    """

    status = 422
    title = "Unprocessable Content"

    def __init__(self, errors: Mapping[str, Sequence[str]], detail: str | None = None) -> None:
        self.errors = {field: list(messages) for field, messages in errors.items()}
        super().__init__(
            detail or "; ".join(f"{field}: {' '.join(messages)}" for field, messages in self.errors.items())
        )


class RateLimited(ClientError):
    """The key has made as many calls as it may for now.

    Args:
        retry_after_s: when there is room again.
    """

    status = 429
    title = "Too Many Requests"

    def __init__(self, detail: str, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class FunctionError(FaasError):
    """The user's code is at fault."""


class InvocationFailed(FunctionError):
    """An invocation ended `failed` or `timed_out`.

    Args:
        type_: the record's `error.type`.
        message: its `error.message`.
        stack_trace: its `error.stack_trace`.
    """

    def __init__(self, type_: str, message: str, stack_trace: Sequence[str] = ()) -> None:
        self.type, self.message, self.stack_trace = type_, message, list(stack_trace)
        super().__init__(type_, message, self.stack_trace)

    def __str__(self) -> str:
        return f"{self.type}: {self.message}"


class InvocationCancelled(FunctionError):
    """An invocation was cancelled before it ended by itself."""


class PlatformError(FaasError):
    """The platform itself failed."""


class ConfigError(PlatformError):
    """A variable of the environment can't be right; the message names it."""


class DatabaseDown(PlatformError):
    """PostgreSQL does not answer, or refuses."""


class BrokerDown(PlatformError):
    """Redis does not answer, or refuses."""


class QueueFull(PlatformError):
    """As many invocations are queued as may be: nothing is accepted until some have started or ended."""


class StorageError(PlatformError):
    """A code package can't be kept or read."""


class SandboxError(PlatformError):
    """A sandbox can't be made, reached or trusted."""
