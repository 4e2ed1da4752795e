"""What claiming and ending read: the rows that they are told of. PostgreSQL itself counts what it took from each index."""

from __future__ import annotations

import pytest
from factories import function, invocation, worker

from faas.db import attempts
from faas.db.attempts import AttemptEnd
from faas.db.database import Database
from faas.domain.invocation import Status

# Entries that were taken from the indexes of what is admitted, runs, has a status, waits in all functions.
READ = """SELECT coalesce(sum(s.idx_tup_read), 0)::integer AS n FROM pg_stat_user_indexes s JOIN pg_inherits h ON h.inhrelid = s.indexrelid
    WHERE h.inhparent IN ('invocations_admitted'::regclass, 'invocations_running'::regclass, 'invocations_by_status'::regclass,
        'invocations_due'::regclass, 'invocations_by_function'::regclass)"""


@pytest.fixture
def narrow(fresh_database_url):
    """One connection to a database that was empty when its plans were made."""
    opened = Database(fresh_database_url, connections=1)
    yield opened
    opened.close()


def read(database: Database) -> int:
    with database.autocommit() as tx:
        tx.rows("SELECT pg_stat_force_next_flush()")
    with database.autocommit() as tx:
        return tx.one(READ).n


def end_of(function_id: str, invocation_id: str) -> AttemptEnd:
    return AttemptEnd(function_id, invocation_id, 1, Status.SUCCEEDED, result="1")


@pytest.mark.parametrize("portion", [1, 10])
def test_claiming_and_ending_read_no_more_the_more_is_queued_and_runs(narrow, portion):
    mine, by = function(narrow, max_concurrency=1000), worker(narrow)

    def through(ids: list[str]) -> None:
        for first in range(0, len(ids), portion):
            some = ids[first : first + portion]
            assert set(attempts.claim_many(narrow, some, by)) == set(some)
            assert all(one.applied for one in attempts.finish(narrow, [end_of(mine.id, one) for one in some])[0])

    # From here on the plans are kept.
    through([invocation(narrow, mine.id).id for _ in range(portion)])
    other = function(narrow, max_concurrency=1)
    held = [invocation(narrow, mine.id).id for _ in range(100)]
    attempts.claim_many(narrow, held, by)
    for _ in range(100):
        invocation(narrow, other.id)
    queued = [invocation(narrow, mine.id).id for _ in range(100)]
    before = read(narrow)
    through(queued)
    # By those indexes it would be hundreds for each of them.
    assert read(narrow) - before < 100


def test_the_same_id_twice_is_claimed_and_ended_once(database):
    mine, by = function(database, max_concurrency=10), worker(database)
    one, two = (invocation(database, mine.id).id for _ in range(2))
    assert attempts.claim_many(database, [one, two, one], by)[one].attempt == 1
    assert attempts.claim_many(database, [one], by) == {}
    ends = [end_of(mine.id, each) for each in (one, two, two)]
    assert sorted(done.applied for done in attempts.finish(database, ends)[0]) == [False, True, True]
    assert [done.applied for done in attempts.finish(database, ends[:1])[0]] == [False]


@pytest.mark.parametrize("portion", [1, 2])
def test_a_row_that_somebody_holds_is_passed_over_by_a_claim(database, portion):
    mine, by = function(database, max_concurrency=10), worker(database)
    ids = [invocation(database, mine.id).id for _ in range(portion)]
    with database.begin() as tx:
        tx.rows("SELECT 1 FROM invocations WHERE id = %s FOR UPDATE", (ids[0],))
        assert set(attempts.claim_many(database, ids, by)) == set(ids[1:])
    assert set(attempts.claim_many(database, ids[:1], by)) == {ids[0]}


@pytest.mark.parametrize("portion", [1, 2])
def test_a_worker_that_is_not_known_claims_nothing(database, portion):
    mine = function(database, max_concurrency=10)
    ids = [invocation(database, mine.id).id for _ in range(portion)]
    assert attempts.claim_many(database, ids, "nobody") == {}
