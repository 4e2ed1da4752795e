"""What claiming and ending read: the rows that they are told of. PostgreSQL itself counts what it took from each index."""

from __future__ import annotations

import time

import pytest
from factories import function, invocation, slots, worker

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


@pytest.mark.parametrize("portion", [1, 3])
def test_ends_admit_as_many_as_they_make_room_for_and_the_oldest_first(database, portion):
    mine, by = function(database, max_concurrency=4), worker(database)
    ids = [invocation(database, mine.id).id for _ in range(12)]
    running = ids[:4]
    attempts.claim_many(database, running, by)
    seen = []
    while running:
        done, next_ids = attempts.finish(database, [end_of(mine.id, one) for one in running[:portion]])
        assert all(one.applied for one in done)
        running = running[portion:] + next_ids
        seen += next_ids
        assert slots(database, mine.id) == (len(running), 4)
        if next_ids:
            assert set(attempts.claim_many(database, next_ids, by)) == set(next_ids)
    assert seen == ids[4:]


def test_an_end_that_is_refused_admits_nobody_and_what_has_expired_is_passed_over(database):
    mine, by = function(database, max_concurrency=1), worker(database)
    first, second = (invocation(database, mine.id).id for _ in range(2))
    late = invocation(database, mine.id, expires_ms=1).id
    attempts.claim_many(database, [first], by)
    stale = AttemptEnd(mine.id, first, 7, Status.SUCCEEDED)
    done, admitted = attempts.finish(database, [stale])
    assert ([one.applied for one in done], admitted, slots(database, mine.id)) == ([False], [], (1, 1))
    # One that counts and one that does not, in one go: one place is free.
    assert attempts.finish(database, [end_of(mine.id, first), stale])[1] == [second]
    attempts.claim_many(database, [second], by)
    time.sleep(0.01)
    assert attempts.finish(database, [end_of(mine.id, second)])[1] == []
    assert slots(database, mine.id) == (0, 1)
    assert late not in attempts.claim_many(database, [late], by)
