"""One round: load and faults from a seed, then peace, then the history."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from e2e.cluster import TERMINAL, parallel, peak

from faults import history, load, plan
from faults.history import Change
from faults.inject import Injector
from faults.ledger import Item, Ledger
from faults.load import Driver, Work
from faults.platform import Platform

DRIVERS = 4
# As long as something ends now and then, the backlog shrinks; a retry waits for half a minute at most.
_STANDSTILL_SECONDS = 90.0
_LEFTOVERS_SECONDS = 60.0


@dataclass
class Summary:
    """What a round did, and what was wrong."""

    seed: int
    engine: str
    faults: Counter[str]
    answers: Counter[str]
    accepted: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    longest: float = 0.0
    longest_answer: float = 0.0

    @property
    def good(self) -> bool:
        """Whether nothing was wrong."""
        return not (self.lost or self.double or self.leaked or self.wrong)

    def __str__(self) -> str:
        lines = [
            f"FAULT_SEED={self.seed} engine {self.engine}: {sum(self.faults.values())} faults, {self.accepted} accepted, {len(self.lost)} lost, "
            f"{len(self.double)} ended twice, {len(self.leaked)} leaked, longest to a terminal status {self.longest:.1f} s, "
            f"longest answer {self.longest_answer:.1f} s",
            "  faults: " + _words(self.faults),
            f"  answers: {_words(self.answers)}; ends: {_words(self.ends)}",
        ]
        for name in ("lost", "double", "leaked", "wrong"):
            lines += [f"  {name}: {one}" for one in getattr(self, name)[:20]]
        return "\n".join(lines)


def play(platform: Platform, seed: int, seconds: float, pause: float = 0.05) -> Summary:
    """A round on a quiet platform, which is quiet again when this returns (or the summary says what is not).

    Args:
        seconds: how long faults are begun for.
        pause: the mean pause of each driver between two requests.
    """
    works = load.deploy(platform)
    history.forget(platform)
    ledger, stop, complaints = Ledger(), threading.Event(), platform.complaints()
    drivers = [Driver(platform, ledger, works, f"{seed}-{n}", pause) for n in range(DRIVERS)]
    injector = Injector(platform)
    with ThreadPoolExecutor(DRIVERS) as pool:
        running = [pool.submit(driver.run, stop) for driver in drivers]
        try:
            injector.carry_out(plan.make(seed, seconds, platform.targets()))
        finally:
            stop.set()
        for one in running:
            one.result()
    ended = platform.ended_by_themselves()
    platform.settle()
    peacemaker = Driver(platform, ledger, works, f"{seed}-peace", pause)
    for request in ledger.open_keys():
        peacemaker.settle(request)
    summary = Summary(seed, platform.engine, injector.done, ledger.counts, longest_answer=ledger.longest_answer)
    summary.wrong += [f"{name} ended by itself" for name in ended] + ledger.problems
    _await_ends(platform, summary)
    _check(platform, ledger, works, summary)
    summary.wrong += sorted(platform.complaints() - complaints)
    return summary


def _check(platform: Platform, ledger: Ledger, works: list[Work], summary: Summary) -> None:
    """Hold what the platform did against what it promised."""
    stories = history.by_invocation(history.read(platform))
    ids = sorted(ledger.ids() | set(stories))
    records = dict(zip(ids, parallel(lambda one: _record(platform, one), ids), strict=True))
    summary.accepted = len(records)
    summary.ends = Counter(record["status"] for record in records.values() if record)
    for one, record in records.items():
        if record is None or record["status"] not in TERMINAL or one not in stories:
            summary.lost.append(f"{one}: {record and record['status']}")
        elif (writes := history.terminal_writes(stories[one])) != 1:
            summary.double.append(f"{one}: {writes} writes")
    for story in stories.values():
        summary.wrong += history.illegal(story)
    changes = [change for story in stories.values() for change in story]
    limits = {work.function: work.limit for work in works}
    summary.wrong += history.over_limit(changes, limits)
    summary.wrong += _over_limit_inside(records, limits)
    summary.wrong += _broken_promises(ledger, records)
    summary.longest = max((_seconds(story, records[one]) for one, story in stories.items()), default=0.0)
    summary.leaked += leaked(platform)


def _await_ends(platform: Platform, summary: Summary) -> None:
    sql = "SELECT count(*) FROM invocations WHERE status IN ('queued', 'running')"
    left, since = -1, time.monotonic()
    while now := int(platform.sql(sql)[0][0]):
        if now != left:
            left, since = now, time.monotonic()
        if time.monotonic() - since > _STANDSTILL_SECONDS:
            summary.wrong.append(f"{now} invocations stand still")
            return
        time.sleep(0.2)


def _record(platform: Platform, invocation: str) -> dict[str, Any] | None:
    answer = platform.call("GET", f"/invocations/{invocation}")
    if answer.status_code == 404:
        return None
    assert answer.status_code == 200, (answer.status_code, answer.text)
    return dict(answer.json())


def _over_limit_inside(records: dict[str, Any], limits: dict[str, int]) -> list[str]:
    """The limits by what the functions themselves have seen: the times between their first and their last line."""
    inside: dict[str, list[tuple[float, float]]] = {}
    for record in records.values():
        if record and record["status"] == "succeeded":
            inside.setdefault(record["function_id"], []).append((record["result"]["start"], record["result"]["end"]))
    return [
        f"function {function}: {peak(times)} at once by their own clocks, {limits[function]} may"
        for function, times in inside.items()
        if peak(times) > limits[function]
    ]


def _broken_promises(ledger: Ledger, records: dict[str, Any]) -> list[str]:
    """Requests that made more or less than they were told, and invocations that ended as they may not, with something else's result or too early."""
    made: dict[str, list[dict[str, Any]]] = {}
    for record in records.values():
        if record:
            made.setdefault(record["payload"]["token"], []).append(record)
    found = []
    for request in ledger.requests:
        counts = [len(made.get(item.token, [])) for item in request.items]
        if set(counts) not in ({0}, {1}) or (request.key and counts[0] != 1):
            found.append(f"{request.path} with the key {request.key} has made {counts} invocations")
        for item in request.items:
            found += [wrong for record in made.get(item.token, []) if (wrong := _wrong(item, record))]
    return found


def _wrong(item: Item, record: dict[str, Any]) -> str | None:
    told = f"{record['id']} ({item.token}): {record['status']} after {record['attempts']} attempts, {record['error']}"
    if item.ids - {record["id"]}:
        return f"{told}; its request was answered with {item.ids}"
    if record["status"] not in item.ends:
        return f"{told}; it may only end {'/'.join(sorted(item.ends))}"
    if record["status"] == "succeeded" and record["result"]["token"] != item.token:
        return f"{told}; it has the result of {record['result']['token']}"
    if record["run_at"] and record["started_at"] and record["started_at"] < record["run_at"]:
        return f"{told}; started at {record['started_at']}, before {record['run_at']}"
    return None


def _seconds(story: list[Change], record: dict[str, Any] | None) -> float:
    """From when it was to run until it had ended."""
    due = record and record["run_at"] and datetime.fromisoformat(record["run_at"]).timestamp()
    return story[-1].at - max(story[0].at, due or 0.0)


def leaked(platform: Platform) -> list[str]:
    """What is still left over after a while."""
    deadline = time.monotonic() + _LEFTOVERS_SECONDS
    while (found := sorted(platform.leftovers())) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


def _words(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
