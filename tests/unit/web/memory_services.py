"""The services' interface over dictionaries: a complete implementation for tests of the HTTP side. Every invocation is an echo.

A function whose name begins with `slow` leaves its invocations queued until `finish` is called or they are cancelled.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from faas.db.measures import Measures
from faas.db.stats import Totals
from faas.domain.access import ANYBODY, Caller
from faas.domain.function import Function, FunctionState, is_handler
from faas.domain.history import History, Line, Marks, tell, why
from faas.domain.ids import uuid7
from faas.domain.invocation import Invocation, Page, Status
from faas.domain.log import Excerpt, Position
from faas.domain.namespace import DEFAULT
from faas.domain.stats import BOUNDS_MS, FunctionStats, Tally, Window
from faas.errors import Conflict, Invalid, NotFound, Unauthorized
from faas.services.requests import (
    Accepted,
    AcceptedBatch,
    FunctionChanges,
    HealthReport,
    NewBatch,
    NewFunction,
    NewInvocation,
    Replay,
    ReplayMany,
)
from faas.services.stats import Report, StatsLine


class Functions:
    def __init__(self) -> None:
        self.stored: dict[str, Function] = {}

    def create(self, new: NewFunction) -> Function:
        self._check_name(new.name)
        now = datetime.now(UTC)
        made = Function(
            uuid7(), new.name, 1, new.spec, FunctionState.ACTIVE, None, _digest(new.code), len(new.code), now, now
        )
        self.stored[made.id] = made
        return made

    def find(self, *, name: str | None, limit: int, cursor: str | None, namespace: str = DEFAULT) -> Page[Function]:
        return _page([f for f in self.stored.values() if name in (None, f.name)], limit, cursor)

    def get(self, ref: str, namespace: str = DEFAULT) -> Function:
        for found in self.stored.values():
            if ref in (found.id, found.name):
                return found
        raise NotFound("There is no such function.")

    def update(self, ref: str, changes: FunctionChanges, namespace: str = DEFAULT) -> Function:
        old = self.get(ref)
        fields = dict(changes.fields)
        if not fields:
            return old
        name, code = fields.pop("name", old.name), fields.pop("code", None)
        if name != old.name:
            self._check_name(name)
        changed = replace(
            old, name=name, spec=replace(old.spec, **fields), revision=old.revision + 1, updated_at=datetime.now(UTC)
        )
        if not is_handler(changed.spec.handler, changed.spec.runtime):
            raise Invalid({"handler": ["Does not fit the runtime."]})
        if code is not None:
            changed = replace(changed, code_digest=_digest(code), code_size=len(code))
        self.stored[old.id] = changed
        return changed

    def delete(self, ref: str, namespace: str = DEFAULT) -> None:
        del self.stored[self.get(ref).id]

    def _check_name(self, name: str) -> None:
        if any(f.name == name for f in self.stored.values()):
            raise Conflict("The name is taken.")


class Invocations:
    def __init__(self, functions: Functions) -> None:
        self.functions = functions
        self.stored: dict[str, Invocation] = {}
        self.requests: list[NewInvocation] = []
        self.keys: dict[str, tuple[bytes, str]] = {}
        self.printed: dict[str, bytes] = {}
        self.excerpts: dict[str, list[Excerpt]] = {}
        self.changed = threading.Condition()

    def invoke(self, new: NewInvocation, *, wait_s: float = 0.0) -> Accepted:
        function = self.functions.get(new.function)
        with self.changed:
            if new.idempotency_key in self.keys:
                fingerprint, id_ = self.keys[new.idempotency_key]
                if fingerprint != new.fingerprint:
                    raise Invalid({"Idempotency-Key": ["Was used with another body."]})
                return Accepted(self.stored[id_], True)
            made = _queued(function, new)
            self.requests.append(new)
            self.stored[made.id] = made
            if new.idempotency_key is not None:
                self.keys[new.idempotency_key] = (new.fingerprint, made.id)
        return Accepted(made if function.name.startswith("slow") else self.finish(made.id), False)

    def finish(self, id_: str, status: Status = Status.SUCCEEDED) -> Invocation:
        with self.changed:
            now = datetime.now(UTC)
            record = self.stored[id_]
            done = replace(
                record, status=status, finished_at=now, result=record.payload if status is Status.SUCCEEDED else None
            )
            self.stored[id_] = done
            self.changed.notify_all()
            return done

    def get(self, id_: str) -> Invocation:
        if id_ not in self.stored:
            raise NotFound("There is no such invocation.")
        return self.stored[id_]

    def wait(self, id_: str, seconds: float) -> Invocation:
        with self.changed:
            self.changed.wait_for(lambda: self.get(id_).status.terminal, seconds)
            return self.get(id_)

    def replay(self, asked: Replay) -> Accepted:
        source = self.get(asked.invocation_id)
        if not source.status.terminal:
            raise Conflict("It has not ended.")
        new = NewInvocation(
            source.function_id,
            json.dumps(source.payload),
            source.headers,
            None,
            asked.idempotency_key,
            asked.fingerprint,
        )
        accepted = self.invoke(new)
        if not accepted.replayed:
            number = source.revision if asked.pinned else self.functions.get(source.function_id).revision
            made = replace(accepted.invocation, replay_of=source.id, revision=number)
            self.stored[made.id] = made
            return Accepted(made, False)
        return accepted

    def history(self, id_: str) -> History:
        record = self.get(id_)
        marks = Marks(record.created_at, None, None, None)
        waiting = why(record, marks, Line(1, 1, 2), 0, datetime.now(UTC))
        return History(record, tell(record, marks, []), waiting)

    def find(
        self,
        *,
        function: str | None,
        status: Status | None,
        limit: int,
        cursor: str | None,
        batch_id: str | None = None,
        namespace: str = DEFAULT,
    ) -> Page[Invocation]:
        found = [
            r
            for r in self.stored.values()
            if function in (None, r.function_id, r.function_name)
            and status in (None, r.status)
            and batch_id in (None, r.batch_id)
        ]
        return _page([replace(r, payload=None, headers=None, result=None) for r in found], limit, cursor)

    def cancel(self, id_: str) -> Invocation:
        if self.get(id_).status.terminal:
            raise Conflict("It has ended already.")
        return self.finish(id_, Status.CANCELLED)

    def live(self, id_: str, position: Position) -> Iterator[Excerpt | None]:
        yield from self.excerpts.get(id_, ())
        while not self.wait(id_, 0.05).status.terminal:
            yield None

    def logs(self, id_: str) -> bytes:
        self.get(id_)
        return self.printed.get(id_, b"")


class Batches:
    def __init__(self, invocations: Invocations) -> None:
        self.invocations = invocations
        self.requests: list[NewBatch] = []
        self.replays: list[ReplayMany] = []

    def invoke(self, new: NewBatch) -> AcceptedBatch:
        for item in new.items:
            self.invocations.functions.get(item.function)
        self.requests.append(new)
        batch_id, made = uuid7(), [self.invocations.invoke(item).invocation for item in new.items]
        for one in made:
            self.invocations.stored[one.id] = replace(one, batch_id=batch_id)
        return AcceptedBatch(batch_id, [one.id for one in made], False)

    def replay(self, asked: ReplayMany) -> AcceptedBatch:
        self.replays.append(asked)
        mine = [one.id for one in self.invocations.stored.values() if one.status is asked.status]
        made = [self.invocations.replay(Replay(id_, asked.pinned)).invocation.id for id_ in mine[: asked.limit]]
        return AcceptedBatch(uuid7(), made, False)

    def counts(self, batch_id: str, namespace: str = DEFAULT) -> dict[Status, int]:
        mine = [one.status for one in self.invocations.stored.values() if one.batch_id == batch_id]
        return {status: mine.count(status) for status in Status}


class Health:
    def __init__(self) -> None:
        self.checks = {"database": "ok", "broker": "ok", "storage": "ok", "workers": "ok"}

    def check(self) -> HealthReport:
        return HealthReport(all(word == "ok" for word in self.checks.values()), dict(self.checks))


class Access:
    def caller(self, key: str | None, *, late_s: float = 0.0) -> Caller:
        if key is not None:
            raise Unauthorized("No key was made.")
        return ANYBODY


class Namespaces:
    """There is `default` alone."""

    def require_invocation(self, namespace: str, invocation_id: str) -> None:
        """Whatever is there is in it."""

    def require_record(self, namespace: str, invocation_id: str, function_id: str) -> None:
        """So is this."""


class Audit:
    def __init__(self) -> None:
        self.entries: list[tuple[str, str | None]] = []

    def add(self, who: Caller, action: str, object_: str | None, remote: str | None, request_id: str) -> None:
        self.entries.append((action, object_))


class NamespaceQuotas:
    def count_request(self, namespace: str) -> None:
        """Any number."""


class Measuring:
    def __init__(self) -> None:
        self.measures: Measures | None = Measures(
            {"delayed": 1, "waiting": 2, "admitted": 3, "running": 4}, 1.5, {"active": 5}, {"simple": 6}
        )
        self.sums: Totals | None = Totals([], None)

    def database_up(self) -> bool:
        return self.measures is not None

    def platform(self) -> Measures | None:
        return self.measures

    def totals(self) -> Totals | None:
        return self.sums


class Metrics:
    """Nobody scrapes."""

    def answered(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Nothing is counted."""

    def scrape(self, routes: Iterable[str]) -> bytes:
        return b""


class Stats:
    def __init__(self, functions: Functions, invocations: Invocations) -> None:
        self.functions, self.invocations = functions, invocations
        self.lag_s = 0.0

    def read(self, window: Window, *, function: str | None, limit: int, namespace: str = DEFAULT) -> Report:
        now = datetime.now(UTC)
        lines = [
            self._line(one, window) for one in self.functions.stored.values() if function in (None, one.id, one.name)
        ]
        return Report(window, now - window.length, now, self.lag_s, tuple(lines[:limit]), len(lines) > limit)

    def _line(self, function: Function, window: Window) -> StatsLine:
        mine = [one.status for one in self.invocations.stored.values() if one.function_id == function.id]
        counts = {status.value: mine.count(status) for status in Status if status.terminal}
        waits = (sum(counts.values()), *(0,) * (len(BOUNDS_MS) - 1))
        series = (*(0,) * (int(window.length.total_seconds()) // window.step_s - 1), sum(counts.values()))
        ended = FunctionStats(function.id, function.name, Tally(**counts, waits=waits, runs=waits), series)
        return StatsLine(ended, mine.count(Status.QUEUED), mine.count(Status.RUNNING), 0.0)


class Services:
    def __init__(self) -> None:
        self.functions = Functions()
        self.invocations = Invocations(self.functions)
        self.batches = Batches(self.invocations)
        self.access = Access()
        self.namespaces = Namespaces()
        self.audit = Audit()
        self.quotas = NamespaceQuotas()
        self.health = Health()
        self.measuring = Measuring()
        self.metrics = Metrics()
        self.stats = Stats(self.functions, self.invocations)

    def close(self) -> None:
        """Nothing is open."""


def _digest(code: bytes) -> str:
    return f"sha256:{hashlib.sha256(code).hexdigest()}"


def _page(items, limit, cursor):
    items = sorted((i for i in items if cursor is None or i.id < cursor), key=lambda i: i.id, reverse=True)
    return Page(items[:limit], items[limit - 1].id if len(items) > limit else None)


def _queued(function: Function, new: NewInvocation) -> Invocation:
    return Invocation(
        id=uuid7(), function_id=function.id, function_name=function.name, revision=function.revision, status=Status.QUEUED,
        payload=json.loads(new.payload), headers=new.headers, result=None, error=None, attempts=0, max_attempts=function.spec.retry.max_attempts,
        created_at=datetime.now(UTC), started_at=None, finished_at=None, queue_ms=None, init_ms=None, duration_ms=None, cold_start=None,
        memory_peak_mb=None, worker_id=None, run_at=new.run_at,
    )  # fmt: skip
