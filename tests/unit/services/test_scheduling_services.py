"""Replays, delays and batches: what is published, and what is refused."""

from __future__ import annotations

import pytest
from factories import claimed, function, run_sql, succeeded

from faas.domain import ids
from faas.domain.invocation import Status
from faas.errors import Conflict, Invalid, NotFound
from faas.queueing import names
from faas.results.endings import Endings
from faas.services.requests import NewBatch, NewInvocation, Replay, ReplayMany


@pytest.fixture
def ended(database, publisher):
    """The id of an invocation of the function `one` that has ended."""
    claim = claimed(database, function(database, name="one").id)
    Endings(database, publisher, platform_retries=0).end(claim, succeeded(1))
    return claim.invocation_id


def item(ref="one", **changes):
    return NewInvocation(ref, "null", {}, **changes)


def test_a_replay_is_published_once_for_a_key(services, client, ended):
    first = services.invocations.replay(Replay(ended, idempotency_key="k", fingerprint=b"f"))
    again = services.invocations.replay(Replay(ended, idempotency_key="k", fingerprint=b"f"))
    assert (first.replayed, again.replayed, again.invocation.id) == (False, True, first.invocation.id)
    assert first.invocation.replay_of == ended
    assert client.llen(names.QUEUE) == 1
    with pytest.raises(Invalid):
        services.invocations.replay(Replay(ended, pinned=False, idempotency_key="k", fingerprint=b"g"))


def test_what_can_not_be_run_again(services, database, ended):
    waiting = services.invocations.invoke(item()).invocation
    with pytest.raises(Conflict):
        services.invocations.replay(Replay(waiting.id))
    with pytest.raises(NotFound):
        services.invocations.replay(Replay(ids.uuid7()))
    services.functions.delete("one")
    with pytest.raises(Conflict, match="deleted"):
        services.invocations.replay(Replay(ended))
    # The name may be another function's by now: it is not run in place of the first.
    function(database, name="one")
    with pytest.raises(Conflict, match="deleted"):
        services.invocations.replay(Replay(ended, pinned=False))


def test_what_runs_later_is_not_published_now(services, database, client):
    function(database, name="one")
    later = services.invocations.invoke(item(delay_ms=60_000, expires_ms=120_000)).invocation
    assert later.expires_at > later.run_at > later.created_at
    assert client.llen(names.QUEUE) == 0
    assert services.invocations.history(later.id).waiting.reason == "delayed"


def test_a_batch_is_published_as_far_as_there_are_slots(services, database, client):
    function(database, name="one", max_concurrency=2)
    made = services.batches.invoke(NewBatch([item(), item(delay_ms=60_000), item(), item()]))
    assert client.llen(names.QUEUE) == 2
    page = services.invocations.find(batch_id=made.batch_id)
    assert [one.id for one in reversed(page.items)] == made.invocation_ids
    assert services.batches.counts(made.batch_id)[Status.QUEUED] == 4
    one = services.invocations.find(batch_id=made.batch_id, function="one", status=Status.QUEUED, limit=1)
    assert [record.id for record in one.items] == made.invocation_ids[-1:]


def test_a_batch_that_is_refused_says_which_item_it_was(services, database, client):
    function(database, name="one", timeout_ms=1000)
    with pytest.raises(NotFound, match=r"items\.1"):
        services.batches.invoke(NewBatch([item(), item("nobody")]))
    with pytest.raises(Invalid) as caught:
        services.batches.invoke(NewBatch([item(), item(), item(timeout_ms=2000)]))
    assert list(caught.value.errors) == ["items.2.timeout"]
    run_sql(database, "UPDATE function_revisions SET state = 'failed'")
    with pytest.raises(Conflict, match=r"items\.0"):
        services.batches.invoke(NewBatch([item()]))
    assert services.invocations.find().items == []
    assert client.llen(names.QUEUE) == 0


def test_the_same_batch_again_is_the_first(services, database, client):
    function(database, name="one")
    function(database, name="two")
    asked = NewBatch([item(), item("two"), item()], "k", b"f")
    first, again = services.batches.invoke(asked), services.batches.invoke(asked)
    assert (first.replayed, again.replayed) == (False, True)
    assert (again.batch_id, again.invocation_ids) == (first.batch_id, first.invocation_ids)
    assert client.llen(names.QUEUE) == 3
    with pytest.raises(Invalid) as caught:
        services.batches.invoke(NewBatch([item()], "k", b"g"))
    assert list(caught.value.errors) == ["Idempotency-Key"]


def test_many_that_failed_are_run_again_as_a_batch_and_published(services, database, client):
    made = function(database, name="one", max_concurrency=2)
    failed = [services.invocations.invoke(item(delay_ms=60_000)).invocation.id for _ in range(3)]
    run_sql(database, "UPDATE invocations SET status = 'failed'")
    assert services.batches.replay(ReplayMany(Status.FAILED, function="nobody")).invocation_ids == []
    done = services.batches.replay(ReplayMany(Status.FAILED, function="one"))
    assert client.llen(names.QUEUE) == 2
    page = services.invocations.find(batch_id=done.batch_id, function=made.id)
    assert [record.replay_of for record in reversed(page.items)] == failed
    assert services.batches.replay(ReplayMany(Status.FAILED)).invocation_ids == []
