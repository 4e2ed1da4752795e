"""The events of an invocation as sentences, and what a queued one waits for, with what can be done about it. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from faas.cli.output import milliseconds

About = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the story: when, how long after the beginning, and what."""

    time: str
    after: str
    what: str


def tell(events: list[dict[str, Any]]) -> list[Line]:
    """The story of an invocation."""
    first = datetime.fromisoformat(events[0]["time"]) if events else None
    return [_line(event, first) for event in events]


def waiting(about: About) -> tuple[str, str | None]:
    """What a queued invocation waits for, and what can be done."""
    known = _WAITING.get(about["reason"])
    return known(about) if known else (about["reason"], None)


def _line(event: dict[str, Any], first: datetime | None) -> Line:
    moment = datetime.fromisoformat(event["time"])
    passed = (moment - first).total_seconds() * 1000 if first else 0.0
    sentence = _EVENTS.get(event["type"])
    return Line(
        event["time"], f"+{milliseconds(passed)}", sentence(event) if sentence else event["type"].replace("_", " ")
    )


def _accepted(about: About) -> str:
    more = [
        f"to run at {about['run_at']}" if about.get("run_at") else "",
        f"to be started by {about['expires_at']}" if about.get("expires_at") else "",
        f"as a replay of {about['replay_of']}" if about.get("replay_of") else "",
        f"in the batch {about['batch_id']}" if about.get("batch_id") else "",
    ]
    return ", ".join(["accepted under revision " + str(about["revision"]), *filter(None, more)])


def _claimed(about: About) -> str:
    worker = str(about.get("worker_id") or "a worker").split(".")[0]
    return f"attempt {about['attempt']} begun by the worker {worker}"


def _retried(about: About) -> str:
    error = f" with {about['error_type']}" if about.get("error_type") else ""
    return f"attempt {about['attempt']} {about['outcome'].replace('_', ' ')}{error}; another was to follow"


def _ended(about: About) -> str:
    error = f" with {about['error_type']}" if about.get("error_type") else ""
    text = f"{about['status'].replace('_', ' ')}{error}"
    if about.get("duration_ms") is not None:
        cold = f", after {milliseconds(about['init_ms'])} to load its code" if about.get("cold_start") else ""
        text += f": it ran for {milliseconds(about['duration_ms'])}{cold}"
    return text


def _concurrency(about: About) -> tuple[str, str | None]:
    place = "it is the next" if about.get("position") == 1 else f"{_before(about)} are before it"
    return (
        f"all {about['limit']} of its function's max_concurrency are in use; {place}",
        "raise limits.max_concurrency in faas.toml and deploy, or wait",
    )


def _before(about: About) -> str:
    return str(about["position"] - 1) if about.get("position") else "many"


def _worker(about: About) -> tuple[str, str | None]:
    if not about["workers"]:
        return "it is ready, and no worker is alive", "start a worker; faas doctor tells what else is missing"
    return (
        f"it is ready, and waits for one of {about['workers']} workers to have a hand free",
        "wait, or start more workers",
    )


_EVENTS: dict[str, Callable[[About], str]] = {
    "accepted": _accepted,
    "admitted": lambda _: "given one of its function's slots",
    "published": lambda _: "handed to the workers",
    "claimed": _claimed,
    "retried": _retried,
    "handed_back": lambda about: f"attempt {about['attempt']} given back unfinished by its worker; it does not count",
    "cancel_requested": lambda _: "asked to stop",
    "ended": _ended,
}
_WAITING: dict[str, Callable[[About], tuple[str, str | None]]] = {
    "building": lambda about: (f"revision {about['revision']} is being built", None),
    "delayed": lambda about: (f"its time has not come: {about['until']}", None),
    "retry": lambda about: (f"its next attempt is due at {about['until']}", None),
    "concurrency": _concurrency,
    "admission": lambda _: (
        "a slot of its function is free, and the clock gives it within a second",
        "is `faas clock` running?",
    ),
    "worker": _worker,
    "deleted": lambda _: ("its function is deleted: it is about to end cancelled", None),
}
