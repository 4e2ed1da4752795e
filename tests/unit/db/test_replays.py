"""Running an invocation again: what is taken over from it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import factories
import pytest
from factories import accept, column, function, invocation, run_sql

from faas.db import functions, invocations, replays
from faas.db.functions import Code
from faas.domain import ids
from faas.domain.invocation import Status
from faas.errors import NotFound


def revise(database, made, **changes):
    with database.begin() as tx:
        now = functions.lock(tx, made.id)
        functions.add_revision(
            tx, now, made.name, factories.spec(**changes), Code(factories.DIGEST, 10, factories.DIGEST)
        )


def again(database, source_id, *, pinned):
    new = replays.source(database, source_id).submission(ids.uuid7(), pinned=pinned)
    return invocations.accept(database, new).invocation


def test_payload_headers_and_revision_are_taken_over(database):
    made = function(database, timeout_ms=5000)
    first = invocation(database, made.id, payload='{"a": 1.50}', headers={"x": "y"})
    revise(database, made, timeout_ms=9000)
    assert replays.source(database, first.id).status is Status.QUEUED
    second = again(database, first.id, pinned=True)
    assert (second.revision, second.payload, second.headers, second.replay_of) == (1, {"a": 1.5}, {"x": "y"}, first.id)
    assert invocations.get(database, second.id) == second
    assert column(database, second.id, "payload") == '{"a": 1.50}'
    assert column(database, second.id, "timeout_ms") == 5000
    newest = again(database, first.id, pinned=False)
    # Nobody asked for a timeout: it is the newest revision's own.
    assert (newest.revision, column(database, newest.id, "timeout_ms")) == (2, 9000)


def test_a_timeout_that_was_asked_for_is_kept_and_cut_where_it_must(database):
    made = function(database, timeout_ms=5000)
    first = invocation(database, made.id, timeout_ms=3000)
    assert column(database, again(database, first.id, pinned=True).id, "timeout_ms") == 3000
    revise(database, made, timeout_ms=1000)
    assert column(database, again(database, first.id, pinned=False).id, "timeout_ms") == 1000
    assert column(database, again(database, first.id, pinned=True).id, "timeout_ms") == 3000


def test_the_newest_revision_may_not_have_built(database):
    made = function(database)
    first = invocation(database, made.id)
    revise(database, made)
    run_sql(database, "UPDATE function_revisions SET state = 'failed' WHERE number = 2")
    assert again(database, first.id, pinned=False) is None
    assert again(database, first.id, pinned=True).revision == 1


@pytest.mark.parametrize("unknown", [ids.uuid7(), "nothing"])
def test_what_is_not_there_has_no_source(database, unknown):
    accept(database, function(database).id)
    with pytest.raises(NotFound):
        replays.source(database, unknown)


def fail(database, *ids_):
    for one in ids_:
        run_sql(database, "UPDATE invocations SET status = 'failed' WHERE id = %s", one)


def run_many(database, limit=50, pinned=True, **wanted):
    batch_id = ids.uuid7()
    new = [ids.uuid7() for _ in range(limit)]
    made, run = replays.run_many(database, replays.Filter(Status.FAILED, **wanted), batch_id, new, pinned=pinned)
    assert made == new[: len(made)]
    return [invocations.get(database, one) for one in made], run


def test_many_are_run_again_once_each_oldest_first(database):
    made = [function(database, max_concurrency=3), function(database)]
    failed = [invocation(database, made[n % 2].id, payload=f"[{n}]").id for n in range(10)]
    fail(database, *failed)
    run_sql(database, "UPDATE slots SET used = 0")
    invocation(database, made[0].id)
    first, run = run_many(database, limit=6)
    assert [(one.replay_of, one.payload) for one in first] == [(failed[n], [n]) for n in range(6)]
    assert len({one.batch_id for one in first}) == 1
    # Of the first function one ran already.
    assert len(run) == 5
    second, _ = run_many(database)
    assert [one.replay_of for one in second] == failed[6:]
    assert run_many(database) == ([], [])


def test_two_at_once_run_nothing_twice(database):
    made = function(database)
    fail(database, *[invocation(database, made.id).id for _ in range(30)])
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: run_many(database, limit=20)[0], range(4)))
    replayed = [one.replay_of for some in runs for one in some]
    assert len(replayed) == len(set(replayed)) == 30


def test_filters(database):
    one, two = function(database), function(database)
    ones = [invocation(database, one.id) for _ in range(3)]
    batch_id = ids.uuid7()
    in_batch = invocation(database, two.id, batch_id=batch_id)
    deleted = function(database)
    fail(database, *[record.id for record in (*ones, in_batch, invocation(database, deleted.id))])
    functions.mark_deleted(database, deleted.id)
    now = datetime.now(UTC)
    assert run_many(database, after=now + timedelta(hours=1))[0] == []
    assert run_many(database, before=now - timedelta(hours=1))[0] == []
    assert run_many(database, batch_id=ids.uuid7())[0] == []
    found = run_many(database, function_id=two.id, batch_id=batch_id, after=now - timedelta(hours=1))[0]
    assert [record.replay_of for record in found] == [in_batch.id]
    revise(database, one)
    assert {r.revision for r in run_many(database, limit=1, pinned=False)[0]} == {2}
    run_sql(database, "UPDATE function_revisions SET state = 'failed' WHERE number = 2")
    assert run_many(database, pinned=False)[0] == []
    assert len(run_many(database, before=now + timedelta(hours=1))[0]) == 2
    assert run_many(database)[0] == []
