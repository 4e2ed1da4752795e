"""The platform in numbers."""

from __future__ import annotations

import pytest
from factories import claimed, function, invocation, run_sql, worker

from faas.db import measures


def test_an_empty_platform_is_all_zeros(database):
    taken = measures.take(database, 10.0)
    assert taken.invocations == {"delayed": 0, "waiting": 0, "admitted": 0, "running": 0}
    assert (taken.oldest_s, taken.functions, taken.workers) == (0.0, {}, {})


def test_every_stage_is_counted_and_what_has_ended_is_not(database):
    limited, free = function(database, max_concurrency=1).id, function(database).id
    claimed(database, limited)
    for _ in range(2):
        invocation(database, limited)
    for _ in range(3):
        invocation(database, free)
    building = function(database, artifact=None).id
    invocation(database, building)
    ended = claimed(database, free)
    run_sql(database, "UPDATE invocations SET status = 'failed' WHERE id = %s", ended.invocation_id)
    taken = measures.take(database, 10.0)
    assert taken.invocations == {"delayed": 1, "waiting": 2, "admitted": 3, "running": 1}
    assert taken.functions == {"active": 2, "building": 1}
    run_sql(database, "UPDATE functions SET deleted_at = now() WHERE id = %s", free)
    assert measures.take(database, 10.0).functions == {"active": 1, "building": 1}


@pytest.mark.parametrize("admitted", [True, False])
def test_the_oldest_that_is_due_and_not_running(database, admitted):
    made = function(database, max_concurrency=1).id
    if not admitted:
        claimed(database, made)
    one = invocation(database, made)
    run_sql(database, "UPDATE invocations SET due_at = now() - interval '1 hour' WHERE id = %s", one.id)
    assert 3600 <= measures.take(database, 10.0).oldest_s < 3700


def test_workers_count_while_their_lease_holds(database):
    worker(database)
    old = worker(database)
    run_sql(database, "UPDATE workers SET beat_at = now() - interval '1 minute' WHERE id = %s", old)
    assert measures.take(database, 30.0).workers == {"simple": 1}
    assert measures.take(database, 300.0).workers == {"simple": 2}


def test_functions_with_something_in_hand_are_told_one_by_one(database):
    limited, free = function(database, name="limited", max_concurrency=1).id, function(database, name="free").id
    claimed(database, limited)
    for _ in range(2):
        invocation(database, limited)
    one = invocation(database, free)
    run_sql(database, "UPDATE invocations SET due_at = now() - interval '1 hour' WHERE id = %s", one.id)
    function(database, name="idle")
    busy = {found.name: found for found in measures.take(database, 10.0).busy}
    assert set(busy) == {"limited", "free"}
    assert (busy["limited"].waiting, busy["limited"].admitted, busy["limited"].running) == (2, 0, 1)
    assert (busy["free"].waiting, busy["free"].admitted, busy["free"].running) == (0, 1, 0)
    assert busy["limited"].oldest_s < 3600 <= busy["free"].oldest_s
    assert busy["free"].namespace == "default"
