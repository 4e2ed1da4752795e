"""The duties of the reconciler: whatever was lost on the way is found in the database and set going again."""

from __future__ import annotations

import base64
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from factories import accept, claimed, column, eventually, function, invocation, run_sql, slots, worker

from faas.db import attempts, functions, invocations, partitions, workers
from faas.domain import outcome as outcomes
from faas.domain.function import Runtime
from faas.domain.invocation import Status
from faas.embedded.ports import free_port
from faas.errors import BrokerDown
from faas.queueing import names
from faas.queueing.publisher import Publisher
from faas.reconciler.loop import Reconciler

OLD = "UPDATE invocations SET published_at = now() - interval '1 hour'"


def published(client) -> list[str]:
    """The first argument of every message in Redis, which are taken out."""
    messages = [json.loads(one) for one in client.lrange(names.QUEUE, 0, -1)]
    client.delete(names.QUEUE)
    return [json.loads(base64.b64decode(one["body"]))[0][0] for one in messages]


def test_after_a_wipe_all_that_was_admitted_is_published_again_once(database, reconciler, client):
    made = function(database, max_concurrency=1000)
    mine = [invocation(database, made.id).id for _ in range(30)]
    running = claimed(database, made.id)
    reconciler.publish_again()
    published(client)
    client.flushall()
    reconciler.publish_again()
    assert sorted(published(client)) == sorted(mine)
    assert running.invocation_id not in mine
    reconciler.publish_again()
    assert published(client) == []


def test_more_than_a_portion_is_published_again_and_that_ends(database, reconciler, client, monkeypatch):
    monkeypatch.setattr("faas.reconciler.loop._PORTION", 10)
    made = function(database, max_concurrency=1000)
    mine = [invocation(database, made.id).id for _ in range(30)]
    thread = threading.Thread(target=reconciler.publish_again, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert sorted(published(client)) == sorted(mine)


def test_a_publisher_does_not_hide_a_wipe(database, reconciler, publisher, client):
    made = function(database)
    lost = invocation(database, made.id)
    reconciler.publish_again()
    client.flushall()
    after = invocation(database, made.id)
    publisher.invocations([after.id])
    reconciler.publish_again()
    assert set(published(client)) == {lost.id, after.id}


def test_a_message_that_nobody_took_while_the_queue_was_empty_is_published_again(database, reconciler, client):
    one = invocation(database, function(database).id)
    reconciler.publish_again()
    published(client)
    reconciler.publish_again()
    assert published(client) == []
    run_sql(database, OLD)
    reconciler.publish_again()
    assert published(client) == [one.id]


def test_a_message_behind_a_queue_is_just_late(database, reconciler, publisher, client):
    one = invocation(database, function(database).id)
    reconciler.publish_again()
    published(client)
    publisher.build("other", 1)
    run_sql(database, "UPDATE invocations SET published_at = now() - interval '1 minute'")
    reconciler.publish_again()
    assert published(client) == ["other"]
    publisher.build("other", 1)
    run_sql(database, OLD)
    reconciler.publish_again()
    assert one.id in published(client)


def test_what_was_not_published_while_redis_was_away_is_published_when_it_is_back(
    database, reconciler, client, redis_url
):
    one = invocation(database, function(database).id)
    reconciler.publish_again()
    published(client)
    away = Publisher(f"redis://127.0.0.1:{free_port()}/0")
    here, reconciler._publisher = reconciler._publisher, away
    reconciler.round()
    away.close()
    reconciler._publisher = here
    reconciler.publish_again()
    assert published(client) == [one.id]


def test_retries_that_fell_due_are_admitted_and_published(database, reconciler, client):
    made = function(database, max_concurrency=1)
    got = claimed(database, made.id)
    attempts.finish(database, [attempts.AttemptEnd(made.id, got.invocation_id, 1, Status.FAILED, retry_ms=3_600_000)])
    reconciler.admit_due()
    assert published(client) == []
    run_sql(database, "UPDATE invocations SET due_at = now()")
    reconciler.admit_due()
    assert published(client) == [got.invocation_id]
    assert slots(database, made.id) == (1, 1)


def test_two_reconcilers_admit_within_the_limit(database, reconcilers, client):
    made = function(database, max_concurrency=3)
    blocker = [accept(database, made.id) for _ in range(3)]
    waiting = [accept(database, made.id).invocation_id for _ in range(10)]
    run_sql(database, "UPDATE slots SET used = 0")
    run_sql(database, "UPDATE invocations SET status = 'succeeded' WHERE admitted_at IS NOT NULL")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: reconcilers[n % 2].admit_due(), range(8)))
    assert sorted(published(client)) == sorted(waiting[:3])
    assert slots(database, made.id) == (3, 3)
    assert not {one.invocation_id for one in blocker} & set(waiting)


def lose(database, name):
    run_sql(database, "UPDATE workers SET beat_at = now() - interval '1 hour' WHERE id = %s", name)


def settled(reconciler):
    """As a reconciler is after the database has answered for longer than a lease."""
    reconciler._up_since = time.monotonic() - 3600
    return reconciler


def test_a_lost_workers_attempts_are_tried_again_then_end_as_lost(database, reconciler, client):
    made = function(database)
    by, living = worker(database), worker(database)
    got, kept = claimed(database, made.id, by), claimed(database, made.id, living)
    lose(database, by)
    settled(reconciler).expire_leases()
    assert invocations.status(database, got.invocation_id) is Status.QUEUED
    assert invocations.status(database, kept.invocation_id) is Status.RUNNING
    assert by not in workers.known(database)
    assert not workers.beat(database, by)
    run_sql(database, "UPDATE invocations SET due_at = now() WHERE status = 'queued'")
    reconciler.admit_due()
    second = worker(database)
    assert attempts.claim(database, got.invocation_id, second).attempt == 2
    lose(database, second)
    reconciler.expire_leases()
    record = invocations.get(database, got.invocation_id)
    assert (record.status, record.error["type"]) == (Status.FAILED, outcomes.WORKER_LOST)
    assert slots(database, made.id) == (1, 10)


def test_messages_that_a_lost_worker_had_in_hand_are_published_again(database, reconciler, publisher, client):
    one = invocation(database, function(database).id)
    reconciler.publish_again()
    published(client)
    publisher.build("a queue that does not get empty", 1)
    lose(database, worker(database))
    settled(reconciler).expire_leases()
    reconciler.publish_again()
    assert one.id in published(client)


def test_no_lease_ends_before_the_database_has_answered_for_as_long(database, reconciler):
    by = worker(database)
    got = claimed(database, function(database).id, by)
    lose(database, by)
    reconciler.round()
    reconciler.expire_leases()
    assert invocations.status(database, got.invocation_id) is Status.RUNNING

    def expired():
        reconciler.round()
        return invocations.status(database, got.invocation_id) is Status.QUEUED

    eventually(expired)


def test_a_worker_that_beats_again_in_time_is_not_forgotten(database):
    by = worker(database)
    lose(database, by)
    assert workers.lost(database, 1.0) == [by]
    assert workers.beat(database, by)
    assert not workers.forget_if_lost(database, by, 1.0)
    assert workers.alive(database, 1000.0) == {by}


def test_what_a_forgotten_worker_runs_is_an_orphan(database, reconciler):
    by = worker(database)
    got = claimed(database, function(database).id, by)
    workers.leave(database, by)
    assert workers.orphans(database, 10) == [(got.revision.function_id, got.invocation_id, 1, 0)]
    settled(reconciler).expire_leases()
    assert workers.orphans(database, 10) == []


def test_builds_that_nobody_has_are_published_again(database, reconciler, client):
    made = function(database, runtime=Runtime.GO, handler="main", artifact=None)
    reconciler.build_again()
    assert published(client) == []
    run_sql(database, "UPDATE function_revisions SET build_published_at = now() - interval '1 minute'")
    reconciler.build_again()
    assert published(client) == [made.id]


def test_a_deletion_that_was_cut_off_is_finished(database, reconciler):
    made = function(database, max_concurrency=1)
    mine = [accept(database, made.id).invocation_id for _ in range(3)]
    functions.mark_deleted(database, made.id)
    reconciler.finish_deletions()
    assert {invocations.status(database, one) for one in mine} == {Status.CANCELLED}


def test_wrong_counts_and_old_keys_are_put_right(database, reconciler):
    made = function(database)
    accept(database, made.id, key="k", fingerprint=b"f")
    run_sql(database, "UPDATE slots SET used = 9")
    run_sql(database, "UPDATE idempotency_keys SET created_at = now() - interval '25 hours'")
    reconciler.mend_slots()
    reconciler.house_keeping()
    assert slots(database, made.id) == (1, 10)
    with database.autocommit() as tx:
        assert tx.one("SELECT count(*) FROM idempotency_keys")[0] == 0


def test_months_are_made_ahead_once(fresh_database_url):
    from faas.db.database import Database

    database = Database(fresh_database_url)
    now = datetime(2031, 11, 5, tzinfo=UTC)
    names_made = ["invocations_2031_11", "invocations_2031_12", "invocations_2032_01"]
    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(lambda _: partitions.ensure_months(database, now), range(3)))
    assert sorted(one for some in made for one in some) == names_made
    assert partitions.ensure_months(database, now) == []
    database.close()


def test_a_failing_duty_does_not_keep_the_others_from_their_turn(database, reconciler, client, monkeypatch):
    made = function(database, max_concurrency=1)
    run_sql(database, "UPDATE slots SET used = 1")
    one = accept(database, made.id)
    run_sql(database, "UPDATE slots SET used = 0")
    monkeypatch.setattr(reconciler._duties[1], "run", lambda: 1 / 0)
    reconciler._duties.reverse()
    reconciler.round()
    assert published(client) == [one.invocation_id]


def test_it_runs_until_it_is_stopped(reconciler):
    thread = threading.Thread(target=reconciler.run)
    thread.start()
    eventually(lambda: reconciler._up_since is not None)
    reconciler.stop()
    thread.join(60)
    assert not thread.is_alive()


def test_several_at_once_lose_each_attempt_once(database, reconcilers, publisher):
    made = function(database, max_concurrency=100)
    by = worker(database)
    claims = [claimed(database, made.id, by) for _ in range(20)]
    lose(database, by)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda one: settled(one).expire_leases(), reconcilers))
    for got in claims:
        assert invocations.status(database, got.invocation_id) is Status.QUEUED
        assert column(database, got.invocation_id, "platform_failures") == 1
    with pytest.raises(BrokerDown):
        Publisher(f"redis://127.0.0.1:{free_port()}/0").ping()
    assert isinstance(reconcilers[0], Reconciler)
