"""A worker's lease, its cancellations, and what dead workers left."""

from __future__ import annotations

import pytest
from factories import claimed, eventually, function, run_sql, worker

from faas.db import invocations, workers
from faas.domain.function import Network, Runtime
from faas.domain.invocation import Status
from faas.queueing import names
from faas.sandbox.engine import Owner
from faas.sandbox.simple import SimpleEngine
from faas.worker import keeper as module
from faas.worker.context import is_of_platform
from faas.worker.keeper import Keeper
from faas.worker.running import Reason


@pytest.fixture
def keeper(bench):
    opened = Keeper(bench.context)
    opened.start()
    yield opened
    opened.stop()


def test_a_worker_is_known_from_its_start_to_its_stop(bench):
    context = bench.context
    workers.leave(context.database, context.incarnation)
    opened = Keeper(context)
    opened.start()
    assert workers.alive(context.database, 600.0) == {context.incarnation}
    run_sql(context.database, "UPDATE workers SET beat_at = now() - interval '1 hour'")
    eventually(lambda: workers.alive(context.database, 600.0))
    opened.stop()
    assert workers.known(context.database) == set()


def test_a_cancellation_is_heard_over_redis(bench, keeper, monkeypatch):
    context = bench.context
    got = claimed(context.database, function(context.database).id, context.incarnation)
    with context.running.enter(got) as running:
        eventually(lambda: context.publisher._connected()[0].publish(names.CANCEL, got.invocation_id))
        eventually(lambda: running.reason is Reason.CANCELLED)
    assert running.cancel.requested


def test_a_cancellation_that_nobody_said_is_found_at_the_next_beat(bench, keeper):
    context = bench.context
    got = claimed(context.database, function(context.database).id, context.incarnation)
    with context.running.enter(got) as running:
        invocations.cancel(context.database, got.invocation_id)
        eventually(lambda: running.reason is Reason.CANCELLED)


def test_a_worker_that_was_taken_as_lost_gives_up_what_it_runs_and_comes_back(bench, keeper):
    context = bench.context
    got = claimed(context.database, function(context.database).id, context.incarnation)
    with context.running.enter(got) as running:
        workers.leave(context.database, context.incarnation)
        eventually(lambda: running.reason is Reason.LOST)
    eventually(lambda: context.incarnation in workers.known(context.database))


def test_a_claim_that_never_came_to_run_is_ended_by_its_living_worker(bench, monkeypatch):
    monkeypatch.setattr(module, "_STRAY_SECONDS", 0.0)
    context = bench.context
    opened = Keeper(context)
    made = function(context.database, max_concurrency=10)
    stray, held = (claimed(context.database, made.id, context.incarnation) for _ in range(2))
    with context.running.enter(held):
        opened._beat()
        assert invocations.status(context.database, stray.invocation_id) is Status.RUNNING
        # As if it had been seen for longer than a lease.
        opened._strays = {key: since - 3600 for key, since in opened._strays.items()}
        opened._beat()
        assert invocations.status(context.database, stray.invocation_id) is Status.QUEUED
        assert invocations.status(context.database, held.invocation_id) is Status.RUNNING
    assert list(opened._strays) == [(stray.invocation_id, 1)]


def test_what_runs_without_its_claim_is_given_up(bench):
    context = bench.context
    opened = Keeper(context)
    made = function(context.database, max_concurrency=10)
    lost, kept = (claimed(context.database, made.id, context.incarnation) for _ in range(2))
    with context.running.enter(lost) as gone, context.running.enter(kept) as stays:
        # As a crash of PostgreSQL leaves it that came before the claim was on the disk.
        run_sql(
            context.database,
            "UPDATE invocations SET status = 'queued', attempts = 0, worker_id = NULL WHERE id = %s",
            lost.invocation_id,
        )
        opened._beat()
        # What has just ended looks the same for a moment.
        assert not gone.cancel.requested
        opened._unclaimed = {key: (one, since - 3600) for key, (one, since) in opened._unclaimed.items()}
        opened._beat()
        assert (gone.reason, gone.cancel.requested) == (Reason.LOST, True)
        assert not stays.cancel.requested
        assert invocations.status(context.database, lost.invocation_id) is Status.QUEUED
        assert invocations.status(context.database, kept.invocation_id) is Status.RUNNING
    opened._beat()
    assert opened._unclaimed == {}


def test_an_attempt_that_is_just_being_ended_is_no_stray(bench):
    context = bench.context
    opened = Keeper(context)
    got = claimed(context.database, function(context.database).id, context.incarnation)
    for _ in range(3):
        opened._beat()
    assert invocations.status(context.database, got.invocation_id) is Status.RUNNING


def test_a_beat_that_fails_is_not_the_last(bench, keeper, monkeypatch, caplog):
    monkeypatch.setattr(keeper, "_beat", lambda: 1 / 0)
    eventually(lambda: "ZeroDivisionError" in caplog.text)
    monkeypatch.undo()
    run_sql(bench.context.database, "UPDATE workers SET beat_at = now() - interval '1 hour'")
    eventually(lambda: workers.alive(bench.context.database, 600.0))


def test_what_dead_workers_left_is_cleared_away_and_nothing_else(bench, tmp_path):
    context = bench.context
    dead, living = (f"{name}.{context.platform_id}.0a0a0a0a" for name in ("dead", "living"))
    other = "other.0123456789ab.0a0a0a0a"
    workers.enrol(context.database, living, "w", "simple")
    engines = [SimpleEngine(context.settings.worker_work_dir, Owner(owner)) for owner in (dead, living, other)]
    try:
        for engine in engines:
            engine.start(Runtime.PYTHON, Network.NONE)
        assert context.engine.leftovers() >= {dead, living, other}
        Keeper(context)._sweep()
        left = context.engine.leftovers()
        assert dead not in left
        assert left >= {living, other}
    finally:
        for engine in engines:
            engine.close()


def test_an_incarnation_tells_its_platform():
    assert is_of_platform("w.1.0123456789ab.0a0a0a0a", "0123456789ab")
    assert not is_of_platform("w.0123456789ab.0a0a0a0a", "ba9876543210")
    assert not is_of_platform("0123456789ab.0a0a0a0a", "0123456789ab")


def test_unknown_workers_have_nothing(database):
    assert workers.claimed(database, worker(database)) == []
