"""The bound on what is queued."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from factories import claimed, eventually, function, invocation

from faas import config
from faas.db import invocations, upkeep
from faas.db.database import Database
from faas.domain.invocation import Status
from faas.embedded.ports import free_port
from faas.errors import DatabaseDown, QueueFull
from faas.services import Services
from faas.services.admission import QueueLimit
from faas.services.requests import NewBatch, NewInvocation, ReplayMany
from faas.web import create_app

LIMIT = 20


@pytest.fixture
def limited(database_url, tmp_path):
    """Services that may queue few, while Redis is away."""
    settings = config.load(
        {
            "DATABASE_URL": database_url,
            "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
            "STORAGE_BASE_DIR": str(tmp_path),
            "QUEUE_LIMIT": str(LIMIT),
        }
    )
    opened = Services.open(settings)
    yield opened
    opened.close()


def submit(services, ref):
    """Whether one more was accepted."""
    try:
        services.invocations.invoke(NewInvocation(ref, "null", {}))
    except QueueFull:
        return False
    return True


def test_while_redis_is_away_no_more_are_accepted_than_may_be_queued(limited, database):
    made = function(database, max_concurrency=5)
    # Those that run are not queued.
    claimed(database, made.id)
    with ThreadPoolExecutor(8) as pool:
        accepted = list(pool.map(lambda _: submit(limited, made.id), range(3 * LIMIT))).count(True)
    # Each thread may pass between a count and what it has counted; those that were on their way during a count may be counted twice until the next.
    assert LIMIT - 8 <= accepted <= LIMIT + 8
    assert upkeep.queued(database, 1000) == accepted
    deadline = time.monotonic() + 30
    while accepted < LIMIT and time.monotonic() < deadline:
        accepted += submit(limited, made.id)
    assert accepted >= LIMIT
    assert not submit(limited, made.id)


def test_it_accepts_again_when_there_is_room(limited, database):
    made = function(database)
    waiting = [invocation(database, made.id).id for _ in range(LIMIT)]
    assert not submit(limited, made.id)
    for one in waiting[:5]:
        invocations.cancel(database, one)
    eventually(lambda: submit(limited, made.id))
    # And has not forgotten the limit.
    assert [submit(limited, made.id) for _ in range(LIMIT)].count(True) == 4


def test_batches_and_replays_are_refused_whole(limited, database):
    made = function(database)
    ended = invocation(database, made.id).id
    invocations.cancel(database, ended)
    item = NewInvocation(made.id, "null", {})
    limited.batches.invoke(NewBatch([item] * LIMIT))
    with pytest.raises(QueueFull):
        limited.batches.invoke(NewBatch([item]))
    with pytest.raises(QueueFull):
        limited.batches.replay(ReplayMany(Status.CANCELLED))
    assert upkeep.queued(database, 1000) == LIMIT


def test_who_is_refused_is_told_to_come_back(limited, database):
    made = function(database)
    for _ in range(LIMIT):
        invocation(database, made.id)
    client = create_app(limited).test_client()
    for path, body in (
        ("/invoke", {"function_id": made.id}),
        ("/invoke/batch", {"items": [{"function_id": made.id}]}),
    ):
        answer = client.post(path, json=body)
        assert (answer.status_code, answer.content_type) == (503, "application/problem+json")
        assert int(answer.headers["Retry-After"]) > 0
        assert "queued" in answer.json["detail"]
    assert upkeep.queued(database, 1000) == LIMIT


def test_what_others_accept_is_seen(database):
    made = function(database)
    queue = QueueLimit(lambda most: upkeep.queued(database, most), 10)
    for _ in range(5):
        queue.enter()
    for _ in range(10):
        invocation(database, made.id)

    def refused():
        try:
            queue.enter(0)
        except QueueFull:
            return True
        return False

    eventually(refused)


def test_zero_is_no_limit_and_asks_nothing():
    def nobody(most):
        raise AssertionError("nothing is counted")

    queue = QueueLimit(nobody, 0)
    queue.enter(1_000_000)


def test_a_count_that_fails_is_tried_again():
    nowhere = Database(f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    queue = QueueLimit(lambda most: upkeep.queued(nowhere, most), 5)
    for _ in range(2):
        with pytest.raises(DatabaseDown):
            queue.enter()


def test_it_counts_delayed_ones_and_no_further_than_it_must(database):
    made = function(database)
    for _ in range(3):
        invocation(database, made.id, delay_ms=3_600_000)
    assert upkeep.queued(database, 1000) == 3
    assert upkeep.queued(database, 2) == 2
