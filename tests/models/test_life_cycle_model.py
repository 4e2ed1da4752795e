"""The life of invocations and the giving of slots, against a model: thousands of steps in any order, on the real database.

`FAAS_MODEL_EXAMPLES=500` makes it longer, and random where it is else the same each time.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any, TypeVar

import factories
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine
from model_of_invocations import TERMINAL, Ending, Function, Model, Row
from sqlalchemy import Engine, create_engine

from faas.client.transactional import enqueue
from faas.db import attempts, functions, invocations, upkeep, workers
from faas.db.attempts import AttemptEnd
from faas.db.database import Database
from faas.domain.invocation import Status

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

EXAMPLES = os.environ.get("FAAS_MODEL_EXAMPLES")
PROFILE = settings(
    max_examples=int(EXAMPLES or 80),
    stateful_step_count=40,
    derandomize=EXAMPLES is None,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
WORKERS = ("w1", "w2")
FAR_MS = 3_600_000
NUMBERS = st.integers(0, 999)
TABLES = ("attempts", "invocations", "idempotency_keys", "workers", "slots", "function_revisions", "functions")
T = TypeVar("T")
ENDINGS = [
    Ending("succeeded", False, "function"),
    Ending("failed", False, "function"),
    Ending("timed_out", False, "function"),
    Ending("cancelled", False, "function"),
    Ending("failed", True, "function"),
    Ending("timed_out", True, "function"),
    Ending("failed", True, "platform"),
    Ending("failed", False, "platform"),
    Ending("failed", True, "handback"),
]
_STATE = """SELECT id, status, attempts, max_attempts, platform_failures, admitted_at IS NOT NULL AS admitted, cancel_requested_at IS NOT NULL AS cancel,
    finished_at IS NOT NULL AS finished, started_at IS NOT NULL AS started,
    ARRAY(SELECT number FROM attempts a WHERE a.invocation_id = i.id ORDER BY number) AS former FROM invocations i"""


class LifeCycle(RuleBasedStateMachine):
    """Every step is done by the database and by the model; after each the two are compared, row by row.

    A step's target is picked by a number from those to which something can happen: picked from all, most steps would do nothing.
    """

    def __init__(self, database: Database, engine: Engine) -> None:
        super().__init__()
        self.database, self.engine, self.model = database, engine, Model()
        # Every claim that there ever was.
        self.claims: list[tuple[str, str, int]] = []
        self.ended: dict[str, str] = {}
        with database.begin() as tx:
            for table in TABLES:
                tx.run(f"DELETE FROM {table}")

    @initialize(limits=st.lists(st.integers(1, 3), min_size=1, max_size=2), queue=st.integers(1, 5))
    def begin(self, limits: list[int], queue: int) -> None:
        for worker in WORKERS:
            self.enrol(worker)
        for limit in limits:
            owner = self.create(limit)
            for number in range(queue):
                self.submit(owner, delayed=False, expires_ms=2 * FAR_MS if number % 2 else None)

    # -- accepting

    @rule(n=NUMBERS, delayed=st.booleans(), expiring=st.booleans())
    def accept(self, n: int, delayed: bool, expiring: bool) -> None:
        changes = {"delay_ms": FAR_MS if delayed else None, "expires_ms": 2 * FAR_MS if expiring else None}
        self.submit(self.owner(n), delayed=delayed, **changes)

    @rule(n=NUMBERS, commits=st.booleans())
    def enqueue(self, n: int, commits: bool) -> None:
        """In a transaction of an application's own."""
        owner = self.owner(n)
        if not self.model.functions[owner].living:
            return
        with self.engine.connect() as connection:
            one = enqueue(connection, owner)
            if commits:
                connection.commit()
                self.model.rows[one] = Row(owner, self.model.tick(), admitted=False)

    @rule(
        n=NUMBERS, key=st.sampled_from(["k1", "k2"]), fingerprint=st.sampled_from([b"a", b"b"]), next_day=st.booleans()
    )
    def accept_with_key(self, n: int, key: str, fingerprint: bytes, next_day: bool) -> None:
        if next_day:
            sql = "UPDATE idempotency_keys SET created_at = created_at - interval '25 hours' WHERE key = %s"
            factories.run_sql(self.database, sql, key)
            self.model.keys.pop(key, None)
        self.submit(self.owner(n), delayed=False, key=key, fingerprint=fingerprint)

    def submit(
        self, owner: str, *, delayed: bool, key: str | None = None, fingerprint: bytes = b"", **changes: Any
    ) -> None:
        said = factories.accept(self.database, owner, key=key, fingerprint=fingerprint, **changes)
        assert said.verdict == self.model.verdict(owner, key, fingerprint)
        if said.verdict == "replayed":
            assert said.invocation_id == self.model.keys[str(key)][0]
        if said.verdict == "accepted":
            one = str(said.invocation_id)
            assert said.admitted == self.model.accept(one, owner, delayed=delayed, key=key, fingerprint=fingerprint)
            self.model.rows[one].may_expire = changes.get("expires_ms") is not None

    @precondition(lambda self: self.queued())
    @rule(n=NUMBERS, late=st.booleans())
    def its_time_comes_or_is_over(self, n: int, late: bool) -> None:
        may_expire = [one for one in self.queued() if self.model.rows[one].may_expire] if late else []
        one = self.pick(may_expire or self.queued(), n)
        row = self.model.rows[one]
        if may_expire:
            sql = "UPDATE invocations SET expires_at = now() - interval '1 second' WHERE id = %s"
            factories.run_sql(self.database, sql, one)
            row.expired = True
        elif row.due is None:
            factories.run_sql(self.database, "UPDATE invocations SET due_at = clock_timestamp() WHERE id = %s", one)
            row.due = self.model.tick()

    # -- running

    @precondition(lambda self: self.queued())
    @rule(n=NUMBERS, worker=st.sampled_from(WORKERS))
    def claim_one(self, n: int, worker: str) -> None:
        self.claim([self.pick(self.queued(), n)], worker)

    @rule(worker=st.sampled_from(WORKERS), endings=st.lists(st.sampled_from(ENDINGS), max_size=3))
    def claim_all_and_end_some(self, worker: str, endings: list[Ending]) -> None:
        self.enrol(worker)
        self.claim(sorted(self.model.rows), worker)
        for ending in endings:
            if self.current():
                self.end(self.current()[0], ending)

    def claim(self, asked: list[str], worker: str) -> None:
        got = attempts.claim_many(self.database, asked + asked[:2], worker)
        assert got.keys() == {one for one in asked if self.model.claim(one, worker)}
        for one, claim in got.items():
            assert claim.attempt == self.model.rows[one].attempts
            self.claims.append((claim.revision.function_id, one, claim.attempt))

    @precondition(lambda self: self.current())
    @rule(n=NUMBERS, ending=st.sampled_from(ENDINGS))
    def finish(self, n: int, ending: Ending) -> None:
        self.end(self.pick(self.current(), n), ending)

    @precondition(lambda self: self.stale())
    @rule(n=NUMBERS, ending=st.sampled_from(ENDINGS))
    def finish_too_late(self, n: int, ending: Ending) -> None:
        self.end(self.pick(self.stale(), n), ending)

    def end(self, claim: tuple[str, str, int], ending: Ending) -> None:
        owner, one, attempt = claim
        retry_ms = 0 if ending.again else None
        end = AttemptEnd(owner, one, attempt, Status(ending.status), retry_ms=retry_ms, fault=ending.fault)
        attempts.finish(self.database, [end])
        if not self.model.finish(one, attempt, ending):
            # Whoever comes too late may give free slots away, and need not.
            assert set(upkeep.admit(self.database, owner)) <= self.model.admit(owner)

    @rule(n=NUMBERS)
    def cancel(self, n: int) -> None:
        running = [one for _, one, _ in self.current()]
        one = self.pick((running, self.queued(), [])[n % 3] or self.model.rows, n // 3)
        before = self.admitted()
        verdict, following = invocations.cancel(self.database, one)
        assert verdict == self.model.cancel(one)
        assert set(following) == self.admitted() - before

    # -- the clock

    @rule(n=NUMBERS, duty=st.sampled_from(["admit", "expire", "publish again", "count again"]))
    def reconcile(self, n: int, duty: str) -> None:
        owner = self.owner(n)
        if duty == "admit":
            assert set(upkeep.admit(self.database, owner)) == self.model.admit(owner)
        elif duty == "expire":
            assert set(upkeep.expire(self.database, owner, 1000)[0]) == self.model.expire(owner)
        elif duty == "publish again":
            found = upkeep.unheard(self.database, upkeep.clock(self.database), 1000)
            assert set(found) == {
                one for one, row in self.model.rows.items() if row.status == "queued" and row.admitted
            }
        else:
            assert upkeep.mend_slots(self.database) == 0

    @rule(worker=st.sampled_from(WORKERS), back=st.booleans())
    def lose(self, worker: str, back: bool) -> None:
        workers.leave(self.database, worker)
        self.model.workers.discard(worker)
        found = workers.orphans(self.database, 1000)
        assert {(one, attempt) for _, one, attempt, _ in found} == self.model.orphans()
        for owner, one, attempt, failures in found:
            assert failures == self.model.rows[one].platform_failures
            self.end((owner, one, attempt), Ending("failed", failures < 2, "platform"))
        if back:
            self.enrol(worker)

    def enrol(self, worker: str) -> None:
        workers.enrol(self.database, worker, worker, "simple")
        self.model.workers.add(worker)

    # -- functions

    def create(self, limit: int) -> str:
        made = factories.function(self.database, max_concurrency=limit)
        self.model.functions[made.id] = Function(limit)
        return made.id

    @rule(n=NUMBERS, limit=st.integers(1, 4))
    def change_limit(self, n: int, limit: int) -> None:
        owner = self.owner(n)
        if not self.model.functions[owner].living:
            return
        with self.database.begin() as tx:
            now = functions.lock(tx, owner)
            code = functions.Code(factories.DIGEST, 1, factories.DIGEST)
            functions.add_revision(tx, now, now.name, factories.spec(max_concurrency=limit), code)
            admitted = functions.admit(tx, owner)
        self.model.functions[owner].capacity = limit
        assert set(admitted) == self.model.admit(owner)

    @rule(n=NUMBERS, limit=st.integers(1, 3), sure=st.integers(0, 2))
    def delete_and_make_another(self, n: int, limit: int, sure: int) -> None:
        owner = self.owner(n)
        if not self.model.functions[owner].living:
            assert set(invocations.cancel_queued_of(self.database, owner, 1000)) == self.model.cancel_queue(owner)
        elif sure == 0:
            functions.mark_deleted(self.database, owner)
            self.model.delete(owner)
            self.create(limit)

    # -- what can be picked

    def pick(self, some: Collection[T], n: int) -> T:
        return list(some)[n % len(some)]

    def owner(self, n: int) -> str:
        """Mostly one that lives."""
        living = [name for name, one in self.model.functions.items() if one.living]
        return self.pick(living if n % 4 else self.model.functions, n // 4)

    def queued(self) -> list[str]:
        return [one for one, row in self.model.rows.items() if row.status == "queued"]

    def current(self) -> list[tuple[str, str, int]]:
        return [claim for claim in self.claims if self.is_current(claim)]

    def stale(self) -> list[tuple[str, str, int]]:
        return [claim for claim in self.claims if not self.is_current(claim)]

    def is_current(self, claim: tuple[str, str, int]) -> bool:
        row = self.model.rows[claim[1]]
        return row.status == "running" and row.attempts == claim[2]

    # -- what is compared

    def admitted(self) -> set[str]:
        with self.database.autocommit() as tx:
            return {str(row.id) for row in tx.rows("SELECT id FROM invocations WHERE admitted_at IS NOT NULL")}

    @invariant()
    def the_rows_are_the_models(self) -> None:
        with self.database.autocommit() as tx:
            rows = {str(row.id): row for row in tx.rows(_STATE)}
        assert rows.keys() == self.model.rows.keys()
        for one, row in rows.items():
            want = self.model.rows[one]
            is_so = (
                row.status,
                row.attempts,
                row.max_attempts,
                row.platform_failures,
                row.admitted,
                row.cancel,
                row.former,
            )
            assert is_so == (
                want.status, want.attempts, want.max_attempts, want.platform_failures, want.admitted, want.cancel, want.former,
            ), one  # fmt: skip
            assert row.finished == (row.status in TERMINAL)
            assert row.started == (row.attempts > 0)
            if row.finished:
                # One terminal status, for ever.
                assert self.ended.setdefault(one, row.status) == row.status

    @invariant()
    def the_slots_are_the_models(self) -> None:
        self.model.check()
        with self.database.autocommit() as tx:
            slots = {str(row.function_id): (row.capacity, row.used) for row in tx.rows("SELECT * FROM slots")}
        assert slots == {name: (one.capacity, one.used) for name, one in self.model.functions.items() if one.living}


def test_the_database_does_what_the_model_does(database: Database, database_url: str) -> None:
    engine = create_engine(database_url.replace("postgresql:", "postgresql+psycopg2:"))
    try:
        run_machine(lambda: LifeCycle(database, engine), settings=PROFILE)
    finally:
        engine.dispose()
