"""Running an invocation again: what is taken over from it."""

from __future__ import annotations

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
