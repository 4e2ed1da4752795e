"""The order of locks, shown by holding one: a function's slots row first, its invocations after it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from factories import accept, claimed, eventually, function, invocation, run_sql, slots, succeeded

from faas.db import functions, invocations, upkeep
from faas.domain.invocation import Status

HOLD = "SELECT 1 FROM slots WHERE function_id = %s FOR UPDATE"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def waiting(database, count):
    """Until so many statements wait for a lock; asked outside of the transaction, which would see what it saw first."""

    def there():
        with database.autocommit() as tx:
            return tx.one(WAITING)[0] >= count

    eventually(there)


def test_a_burst_of_calls_is_admitted_within_the_limit(database):
    made = function(database, max_concurrency=3)
    with ThreadPoolExecutor(8) as pool:
        with database.begin() as tx:
            tx.rows(HOLD, (made.id,))
            calls = [pool.submit(accept, database, made.id) for _ in range(8)]
            waiting(database, 8)
        verdicts = [call.result(60) for call in calls]
    assert [one.admitted for one in verdicts].count(True) == 3
    assert slots(database, made.id) == (3, 3)


def test_several_who_admit_at_once_keep_the_limit(database):
    made = function(database, max_concurrency=3)
    run_sql(database, "UPDATE slots SET used = 3")
    for _ in range(20):
        accept(database, made.id)
    run_sql(database, "UPDATE slots SET used = 0")
    with ThreadPoolExecutor(4) as pool:
        with database.begin() as tx:
            tx.rows(HOLD, (made.id,))
            calls = [pool.submit(upkeep.admit, database, made.id) for _ in range(4)]
            waiting(database, 4)
        admitted = [one for call in calls for one in call.result(60)]
    assert len(admitted) == 3
    assert slots(database, made.id) == (3, 3)


@pytest.mark.parametrize("what", ["end", "cancel", "cancel queued"])
def test_ends_and_cancellations_lock_the_slots_before_the_invocation(database, endings, what):
    made = function(database)
    got = claimed(database, made.id)
    queued = invocation(database, made.id).id
    one = queued if what == "cancel queued" else got.invocation_id
    act = partial(endings.end, got, succeeded(1)) if what == "end" else partial(invocations.cancel, database, one)
    with ThreadPoolExecutor(1) as pool:
        with database.begin() as tx:
            tx.rows(HOLD, (made.id,))
            acting = pool.submit(act)
            waiting(database, 1)
            # Fails where the other has it and waits for what is held here: a circle.
            assert tx.rows("SELECT 1 FROM invocations WHERE id = %s FOR UPDATE NOWAIT", (one,))
        acting.result(60)


def test_a_retry_that_meets_a_deletion_ends(database, endings):
    made = function(database)
    got = claimed(database, made.id)
    with ThreadPoolExecutor(1) as pool:
        with database.begin() as tx:
            functions.lock(tx, made.id)
            tx.run("DELETE FROM slots WHERE function_id = %s", (made.id,))
            tx.run("UPDATE functions SET deleted_at = now() WHERE id = %s", (made.id,))
            acting = pool.submit(endings.hand_back, got)
            waiting(database, 1)
        assert acting.result(60).status is Status.CANCELLED
