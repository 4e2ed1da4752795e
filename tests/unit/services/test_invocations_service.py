"""Accepting, waiting for and cancelling invocations."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from factories import claimed, eventually, function, invocation, run_sql, succeeded, worker

from faas.db import attempts, workers
from faas.domain import ids
from faas.domain.invocation import Status
from faas.embedded.ports import free_port
from faas.errors import Conflict, Invalid, NotFound
from faas.queueing import names
from faas.services import Services
from faas.services.requests import NewInvocation


def invoke(services, ref, payload="null", **changes):
    return services.invocations.invoke(NewInvocation(ref, payload, {}, **changes))


def test_an_accepted_invocation_is_published(services, database, client):
    function(database, name="one", max_concurrency=1)
    first, second = invoke(services, "one", '{"a": 1}'), invoke(services, "one")
    assert (first.replayed, first.invocation.payload) == (False, {"a": 1})
    assert client.llen(names.QUEUE) == 1
    assert services.invocations.get(second.invocation.id).status is Status.QUEUED


def test_each_refusal_has_its_error(services, database):
    made = function(database, name="one", timeout_ms=1000)
    with pytest.raises(NotFound):
        invoke(services, "nobody")
    with pytest.raises(Invalid) as caught:
        invoke(services, "one", timeout_ms=2000)
    assert list(caught.value.errors) == ["timeout"]
    first = invoke(services, "one", idempotency_key="k", fingerprint=b"a")
    again = invoke(services, made.id, idempotency_key="k", fingerprint=b"a")
    assert (again.replayed, again.invocation.id) == (True, first.invocation.id)
    with pytest.raises(Invalid) as caught:
        invoke(services, "one", idempotency_key="k", fingerprint=b"b")
    assert list(caught.value.errors) == ["Idempotency-Key"]
    run_sql(database, "UPDATE function_revisions SET state = 'failed'")
    with pytest.raises(Conflict):
        invoke(services, "one")


def test_a_waiter_is_woken_when_its_invocation_ends(services, database, endings, client, monkeypatch):
    monkeypatch.setattr("faas.services.waiting._LOOK_SECONDS", 600.0)
    claims = [claimed(database, function(database).id) for _ in range(5)]
    with ThreadPoolExecutor(5) as pool:
        waiting = [pool.submit(services.invocations.wait, one.invocation_id, 100.0) for one in claims]
        # One listener serves all who wait in a process.
        eventually(lambda: client.pubsub_numsub(names.ENDED)[0][1] == 1)
        eventually(lambda: len(services.waiters._waiting) == 5)
        began = time.monotonic()
        for n, one in enumerate(claims):
            endings.end(one, succeeded(n))
        assert [one.result(60).result for one in waiting] == [0, 1, 2, 3, 4]
    assert time.monotonic() - began < 60
    assert services.waiters._waiting == {}


def test_a_waiter_finds_the_end_by_itself_when_the_wake_up_is_lost(settings, database):
    deaf = Services.open(
        type(settings)(
            **{
                **{name: getattr(settings, name) for name in settings.__slots__},
                "redis_url": f"redis://127.0.0.1:{free_port()}/0",
            }
        )
    )
    try:
        got = claimed(database, function(database).id)
        end = attempts.AttemptEnd(got.revision.function_id, got.invocation_id, 1, Status.SUCCEEDED, result="7")
        timer = threading.Timer(0.3, lambda: attempts.finish(database, [end]))
        timer.start()
        assert deaf.invocations.wait(got.invocation_id, 60.0).result == 7
        timer.join()
    finally:
        deaf.close()


def test_waiting_ends_with_its_time_or_at_once(services, database):
    one = invocation(database, function(database).id)
    assert services.invocations.wait(one.id, 0.2).status is Status.QUEUED
    services.invocations.cancel(one.id)
    assert services.invocations.wait(one.id, 60.0).status is Status.CANCELLED
    with pytest.raises(NotFound):
        services.invocations.wait(ids.uuid7(), 60.0)
    assert services.waiters._waiting == {}


def test_cancelling_wakes_and_publishes_the_next(services, database, client, monkeypatch):
    monkeypatch.setattr("faas.services.waiting._LOOK_SECONDS", 600.0)
    made = function(database, max_concurrency=1)
    first, second = invocation(database, made.id), invocation(database, made.id)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(services.invocations.wait, first.id, 100.0)
        eventually(lambda: client.pubsub_numsub(names.ENDED)[0][1] == 1)
        assert services.invocations.cancel(first.id).status is Status.CANCELLED
        assert waiting.result(60).status is Status.CANCELLED
    assert client.llen(names.QUEUE) == 1
    assert attempts.claim(database, second.id, worker(database)) is not None
    with pytest.raises(Conflict):
        services.invocations.cancel(first.id)


def test_cancelling_a_running_one_tells_its_worker(services, database, client):
    got = claimed(database, function(database).id)
    with client.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(names.CANCEL)
        eventually(lambda: client.pubsub_numsub(names.CANCEL)[0][1] == 1)
        channel.get_message(timeout=1.0)
        assert services.invocations.cancel(got.invocation_id).status is Status.RUNNING
        assert services.invocations.cancel(got.invocation_id).status is Status.RUNNING
        assert eventually(lambda: channel.get_message(timeout=1.0))["data"] == got.invocation_id


def test_health_has_a_word_for_every_part(services, database, settings):
    report = services.health.check()
    assert not report.ok
    assert report.checks.keys() == {"database", "broker", "storage", "workers"}
    assert "worker" in report.checks.pop("workers")
    assert set(report.checks.values()) == {"ok"}
    workers.enrol(database, "w", "w", "simple")
    assert services.health.check().ok
    run_sql(database, "UPDATE workers SET beat_at = now() - interval '1 hour'")
    assert not services.health.check().ok


def test_without_redis_accepting_works_and_health_tells(settings, database):
    values = {name: getattr(settings, name) for name in settings.__slots__}
    services = Services.open(type(settings)(**{**values, "redis_url": f"redis://127.0.0.1:{free_port()}/0"}))
    try:
        made = function(database)
        one = invoke(services, made.id).invocation
        assert services.invocations.get(one.id).status is Status.QUEUED
        assert services.health.check().checks["broker"] != "ok"
        assert services.invocations.cancel(one.id).status is Status.CANCELLED
        services.functions.delete(made.id)
    finally:
        services.close()
