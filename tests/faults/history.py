"""What happened to every invocation, as PostgreSQL saw it, and what may not have happened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import TERMINAL, Cluster, peak

_SQL = Path(__file__).with_name("history.sql")
# (from, to): by how much the number of attempts rises.
_LEGAL = {
    (None, "queued"): 0,
    ("queued", "running"): 1,
    ("running", "queued"): 0,
    ("queued", "cancelled"): 0,
    **{("running", status): 0 for status in TERMINAL},
}


@dataclass(frozen=True, slots=True)
class Change:
    """One row of the history. `at` in seconds, on the database's clock."""

    at: float
    invocation: str
    function: str
    old: str | None
    new: str
    attempts: int
    max_attempts: int


def install(cluster: Cluster) -> None:
    """Have the database keep the history, by a trigger: nothing that writes can leave it out."""
    cluster.sql(_SQL.read_text())


def forget(cluster: Cluster) -> None:
    """Begin the history anew; nothing may be running."""
    cluster.sql("TRUNCATE fault_history")


def read(cluster: Cluster) -> list[Change]:
    """The history since `forget`. The changes of one invocation are in order: the lock on its row makes them wait for each other."""
    rows = cluster.sql(
        "SELECT extract(epoch FROM at)::float, id::text, function_id::text, old, new, attempts, max_attempts FROM fault_history ORDER BY n"
    )
    return [Change(*row) for row in rows]


def by_invocation(changes: Iterable[Change]) -> dict[str, list[Change]]:
    """The changes of each."""
    found: dict[str, list[Change]] = defaultdict(list)
    for change in changes:
        found[change.invocation].append(change)
    return dict(found)


def terminal_writes(story: Iterable[Change]) -> int:
    """How many writes ended an invocation, or touched it after its end."""
    return sum(change.new in TERMINAL or change.old in TERMINAL for change in story)


def illegal(story: list[Change]) -> list[str]:
    """Steps of an invocation that may not be: of its status, of its attempts' numbers, or over their maximum."""
    found, before, attempts = [], None, 0
    for change in story:
        rise = _LEGAL.get((change.old, change.new))
        if change.old != before or rise is None:
            found.append(f"{change.invocation}: {change.old} -> {change.new} after {before}")
        elif change.attempts != attempts + rise or change.attempts > change.max_attempts:
            found.append(
                f"{change.invocation}: {change.new} with attempt {change.attempts} of {change.max_attempts} after {attempts}"
            )
        before, attempts = change.new, change.attempts
    return found


def peaks(changes: Iterable[Change]) -> dict[str, int]:
    """For each function, the most that were `running` at once."""
    intervals: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for story in by_invocation(changes).values():
        began = 0.0
        for change in story:
            if change.new == "running":
                began = change.at
            elif change.old == "running":
                intervals[change.function].append((began, change.at))
    return {function: peak(found) for function, found in intervals.items()}


def over_limit(changes: Iterable[Change], limits: Mapping[str, int]) -> list[str]:
    """Functions of which more ran at once than may."""
    return [
        f"function {function}: {most} at once, {limits[function]} may"
        for function, most in peaks(changes).items()
        if function in limits and most > limits[function]
    ]
