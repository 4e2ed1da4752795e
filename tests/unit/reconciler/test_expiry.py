"""The reconciler ends what was not started in time, and lets go what waited for its time."""

from __future__ import annotations

import base64
import json

from factories import accept, eventually, function, invocation, run_sql

from faas.db import invocations
from faas.domain.invocation import Status
from faas.queueing import names


def test_what_expired_ends_and_who_comes_next_is_published(reconciler, database, client, monkeypatch):
    monkeypatch.setattr("faas.reconciler.loop._PORTION", 2)
    one, two = function(database, max_concurrency=1), function(database)
    late = [invocation(database, one.id, expires_ms=1) for _ in range(5)] + [invocation(database, two.id, expires_ms=1)]
    following = accept(database, one.id)
    other = invocation(database, two.id, expires_ms=600_000)
    heard = client.pubsub()
    heard.subscribe(names.ENDED)

    def done():
        reconciler.expire()
        return all(invocations.status(database, record.id) is Status.CANCELLED for record in late)

    eventually(done)
    assert invocations.status(database, other.id) is Status.QUEUED
    assert client.llen(names.QUEUE) == 1
    assert following.invocation_id in _decoded(client.lrange(names.QUEUE, 0, -1)[0])
    messages = []

    def all_heard():
        message = heard.get_message(ignore_subscribe_messages=True, timeout=1)
        if message:
            messages.extend(message["data"].split())
        return len(messages) == len(late)

    eventually(all_heard)
    assert set(messages) == {record.id for record in late}
    heard.close()


def test_what_was_delayed_runs_at_its_time(reconciler, database, client):
    record = invocation(database, function(database).id, delay_ms=3_600_000)
    reconciler.admit_due()
    assert client.llen(names.QUEUE) == 0
    run_sql(database, "UPDATE invocations SET due_at = now() WHERE id = %s", record.id)
    reconciler.admit_due()
    assert client.llen(names.QUEUE) == 1


def _decoded(message: str) -> str:
    return base64.b64decode(json.loads(message)["body"]).decode()
