"""The API's records as frozen values. A field that this client does not know yet is left out, so an older client reads a newer platform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Self, TypeVar

T = TypeVar("T", bound="_Record")
TERMINAL = frozenset({"succeeded", "failed", "timed_out", "cancelled"})


class _Record:
    """Made from JSON by the names of its fields; those that end with `_at` are times."""

    __slots__ = ()

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The value of a JSON object; what it lacks is None."""
        names = [field.name for field in fields(cls)]  # type: ignore[arg-type]
        return cls(**{name: _value(name, document.get(name)) for name in names})


@dataclass(frozen=True, slots=True)
class Function(_Record):
    """A function, as `GET /functions/{ref}` shows it. `timeout` is text such as `30s`."""

    id: str
    name: str
    version: str | None
    revision: int
    runtime: str
    handler: str
    timeout: str
    memory_mb: int
    cpus: float
    max_concurrency: int
    network: str
    retry: dict[str, Any]
    environment: dict[str, str]
    metadata: dict[str, Any]
    secrets: dict[str, str] | None
    http: dict[str, Any] | None
    state: str
    state_reason: str | None
    code_digest: str
    code_size: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Invocation(_Record):
    """An invocation's record. In items of a list `payload`, `headers` and `result` are None."""

    id: str
    function_id: str
    function_name: str
    revision: int
    status: str
    payload: Any
    headers: dict[str, str] | None
    result: Any
    error: dict[str, Any] | None
    attempts: int
    max_attempts: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    queue_ms: int | None
    init_ms: int | None
    duration_ms: int | None
    cold_start: bool | None
    memory_peak_mb: float | None
    worker_id: str | None
    run_at: datetime | None
    expires_at: datetime | None
    batch_id: str | None
    replay_of: str | None

    @property
    def terminal(self) -> bool:
        """Whether it has ended."""
        return self.status in TERMINAL


@dataclass(frozen=True, slots=True)
class Secret(_Record):
    """What the API tells of a secret: never its value. `functions` are the names of those that are given it."""

    name: str
    version: int
    functions: list[str]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Event(_Record):
    """Something that happened to an invocation; `about` is what else the API says of it."""

    time: datetime
    type: str
    about: dict[str, Any]

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The value of an item of `events`."""
        about = {name: value for name, value in document.items() if name not in ("time", "type")}
        return cls(datetime.fromisoformat(document["time"]), document["type"], about)


@dataclass(frozen=True, slots=True)
class LogLine(_Record):
    """A line of a followed log; `stream` is `stdout`, `stderr`, or None where the record does not say which.

    `invocation_id` is there where a function is followed.
    """

    time: datetime
    stream: str | None
    text: str
    invocation_id: str | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The value of a `log` event's data."""
        return cls(
            datetime.fromisoformat(document["time"]),
            document["stream"],
            document["text"],
            document.get("invocation_id"),
        )


@dataclass(frozen=True, slots=True)
class Times(_Record):
    """Milliseconds, off by less than a fifth; None where nothing was started."""

    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class FunctionStats(_Record):
    """A function in a window of time.

    Attributes:
        ended: how many invocations ended in it; the following four are parts of that.
        platform_failures: of the failed ones, those by a fault of the platform.
        init_ms: loading the code on a cold start, on the average; None where there was none.
        duration_ms, queue_ms: how long they ran, and how long they waited before.
        queued, running: now. oldest_queued_ms: for how long the oldest that is queued has been due.
        series: how many ended in each step of the window, oldest first.
    """

    function_id: str
    function_name: str
    ended: int
    succeeded: int
    failed: int
    timed_out: int
    cancelled: int
    platform_failures: int
    cold_starts: int
    init_ms: int | None
    duration_ms: Times
    queue_ms: Times
    queued: int
    running: int
    oldest_queued_ms: int
    series: list[int]

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The value of an item of `GET /stats`."""
        known = {field.name: document.get(field.name) for field in fields(cls)}
        times = {name: Times.from_json(document[name]) for name in ("duration_ms", "queue_ms")}
        return cls(**{**known, **times})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Stats(_Record):
    """What functions have done of late.

    Attributes:
        until: what ended later is not counted yet; that was `lag_ms` ago. step_s: seconds of each number of a series.
        functions: those that ended something in the window or have something in hand, the busiest first. more: there are others.
    """

    window: str
    since: datetime
    until: datetime
    lag_ms: int
    step_s: int
    functions: list[FunctionStats]
    more: bool

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The value of `GET /stats`."""
        since, until = (datetime.fromisoformat(document[name]) for name in ("since", "until"))
        functions = [FunctionStats.from_json(item) for item in document["items"]]
        return cls(
            document["window"], since, until, document["lag_ms"], document["step_s"], functions, document["more"]
        )


def _value(name: str, value: Any) -> Any:
    return datetime.fromisoformat(value) if name.endswith("_at") and isinstance(value, str) else value
