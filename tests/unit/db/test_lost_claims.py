"""A claim that a crash of PostgreSQL took back: whoever held it ends nothing, though the next claim has the same number."""

from __future__ import annotations

import pytest
from factories import function, invocation, run_sql, slots, worker

from faas.db import attempts, invocations
from faas.db.attempts import AttemptEnd
from faas.domain.invocation import Status

ENDS = {
    "ended": {"status": Status.SUCCEEDED, "result": "1"},
    "tried again": {"status": Status.FAILED, "error": "{}", "retry_ms": 0},
    "handed back": {"status": Status.FAILED, "error": "{}", "retry_ms": 0, "fault": "handback"},
}


def lose(database, invocation_id):
    run_sql(
        database,
        "UPDATE invocations SET status = 'queued', attempts = 0, worker_id = NULL, started_at = NULL WHERE id = %s",
        invocation_id,
    )


@pytest.mark.parametrize("portion", [1, 2])
@pytest.mark.parametrize("how", ENDS)
def test_an_end_is_refused_where_another_worker_has_the_attempt(database, how, portion):
    made, first, second = function(database, max_concurrency=10), worker(database), worker(database)
    ids = sorted(invocation(database, made.id).id for _ in range(portion))
    assert set(attempts.claim_many(database, ids, first)) == set(ids)
    lose(database, ids[0])
    assert attempts.claim(database, ids[0], second).attempt == 1
    ends = [AttemptEnd(made.id, one, 1, worker=first, **ENDS[how]) for one in ids]
    assert [done.applied for done in attempts.finish(database, ends)[0]] == [False, True][:portion]
    assert (invocations.status(database, ids[0]), slots(database, made.id)[0]) == (
        Status.RUNNING,
        portion if how != "ended" else 1,
    )
    (done,), _ = attempts.finish(
        database, [AttemptEnd(made.id, ids[0], 1, Status.SUCCEEDED, result="2", worker=second)]
    )
    assert done.applied
    assert invocations.get(database, ids[0]).result == 2


def test_an_end_that_names_no_worker_is_anybodys(database):
    made = function(database)
    one = invocation(database, made.id).id
    attempts.claim(database, one, worker(database))
    (done,), _ = attempts.finish(database, [AttemptEnd(made.id, one, 1, Status.SUCCEEDED, result="2")])
    assert done.applied


def test_a_claim_alone_is_not_waited_for_until_it_is_on_the_disk(database):
    made = function(database)
    one = invocation(database, made.id).id
    by = worker(database)
    with database.begin() as tx:
        tx.rows("SELECT * FROM faas_claim(%s::uuid[], %s)", ([one], by))
        assert tx.one("SELECT current_setting('synchronous_commit') AS now").now == "off"
    with database.autocommit() as tx:
        assert tx.one("SELECT current_setting('synchronous_commit') AS now").now == "on"
