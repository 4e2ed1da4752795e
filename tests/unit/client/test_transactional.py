"""Invoking inside the caller's transaction."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from factories import accept, claimed, column, eventually, function, invocation, run_sql, slots, succeeded, worker
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from faas.client import errors
from faas.client.transactional import enqueue
from faas.db import attempts, builds, functions, histories, invocations, upkeep
from faas.domain.function import Runtime
from faas.domain.invocation import Status
from faas.embedded.ports import free_port
from faas.errors import NotFound
from faas.queueing import names
from faas.queueing.publisher import connect
from faas.reconciler.loop import Reconciler
from faas.results.endings import Endings


@pytest.fixture
def engine(database_url):
    opened = create_engine(
        database_url.replace("postgresql:", "postgresql+psycopg2:"), connect_args={"options": "-c lock_timeout=20000"}
    )
    yield opened
    opened.dispose()


@pytest.fixture
def endings(database, publisher):
    opened = Endings(database, publisher, platform_retries=0)
    yield opened
    opened.close()


@pytest.fixture
def reconciler(database, publisher, endings):
    return Reconciler(database, publisher, endings, lease_s=1.0)


@pytest.fixture
def client(redis_url):
    opened = connect(redis_url)
    yield opened
    opened.close()


def queued(database) -> int:
    return upkeep.queued(database, 1000)


def test_it_is_there_when_the_transaction_is_committed_and_runs(engine, database, reconciler, client, endings):
    made = function(database, name="one")
    with Session(engine) as session:
        mine = enqueue(session, "one", {"a": [1, "ä"]}, headers={"x": "y"}, timeout="2s")
        with pytest.raises(NotFound):
            invocations.get(database, mine)
        session.commit()
    record = invocations.get(database, mine)
    assert (record.function_id, record.function_name, record.revision, record.status) == (
        made.id,
        "one",
        1,
        Status.QUEUED,
    )
    assert (record.payload, record.headers, record.attempts) == ({"a": [1, "ä"]}, {"x": "y"}, 0)
    assert column(database, mine, "timeout_ms") == 2000
    assert histories.get(database, mine).waiting.reason == "admission"
    reconciler.admit_due()
    assert client.llen(names.QUEUE) == 1
    assert slots(database, made.id) == (1, 10)
    claim = attempts.claim(database, mine, worker(database))
    assert endings.end(claim, succeeded(1)).status is Status.SUCCEEDED
    assert slots(database, made.id) == (0, 10)


def test_it_has_the_fields_of_one_that_was_accepted_over_http(engine, database):
    made = function(database, max_concurrency=1)
    accept(database, made.id)
    other = invocation(database, made.id, delay_ms=60_000, expires_ms=120_000)
    with Session(engine) as session, session.begin():
        mine = enqueue(session, made.id, delay="1m", expires_in="2m")
    ours, theirs = invocations.get(database, mine), invocations.get(database, other.id)
    assert ours.run_at - ours.created_at >= timedelta(minutes=1)
    assert ours.expires_at - ours.created_at == timedelta(minutes=2)
    for name in ("max_attempts", "payload", "headers", "status", "error", "batch_id", "replay_of", "queue_ms"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert column(database, mine, "timeout_ms") == column(database, other.id, "timeout_ms")
    assert column(database, mine, "due_at") == ours.run_at


def test_a_rollback_leaves_no_trace(engine, database):
    made = function(database)
    with pytest.raises(RuntimeError), Session(engine) as session, session.begin():
        mine = enqueue(session, made.id)
        raise RuntimeError
    with pytest.raises(NotFound):
        invocations.get(database, mine)
    assert (queued(database), slots(database, made.id)) == (0, (0, 10))


def test_only_what_a_savepoint_kept_is_queued(engine, database):
    made = function(database)
    with Session(engine) as session, session.begin():
        kept = enqueue(session, made.id)
        inner = session.begin_nested()
        enqueue(session, made.id)
        inner.rollback()
    assert queued(database) == 1
    assert invocations.get(database, kept).status is Status.QUEUED


def test_a_connection_and_a_scoped_session_will_do(engine, database):
    made = function(database)
    with engine.begin() as connection:
        enqueue(connection, made.id)
    scoped = scoped_session(sessionmaker(engine))
    enqueue(scoped, made.id)
    scoped.commit()
    scoped.remove()
    assert queued(database) == 2


def test_an_open_transaction_holds_nobody_up(engine, database, endings):
    made = function(database, max_concurrency=1)
    with Session(engine) as session:
        mine = enqueue(session, made.id)
        done = threading.Event()

        def others():
            for _ in range(5):
                first, second = accept(database, made.id), accept(database, made.id)
                assert (first.admitted, second.admitted) == (True, False)
                claim = attempts.claim(database, first.invocation_id, worker(database))
                assert endings.end(claim, succeeded(1)).applied
                assert column(database, second.invocation_id, "admitted_at") is not None
                assert invocations.cancel(database, second.invocation_id)[0] == "cancelled"
            done.set()

        thread = threading.Thread(target=others, daemon=True)
        thread.start()
        assert done.wait(60)
        session.commit()
    assert upkeep.admit(database, made.id) == [mine]


def test_with_redis_it_is_published_at_once(engine, database, client, redis_url):
    made = function(database, max_concurrency=2)
    with Session(engine) as session:
        for _ in range(3):
            enqueue(session, made.id, redis_url=redis_url)
        with session.begin_nested():
            pass
        assert client.llen(names.QUEUE) == 0
        session.commit()
        assert client.llen(names.QUEUE) == 2
        assert slots(database, made.id) == (2, 2)
        enqueue(session, made.id, redis_url=redis_url)
        session.rollback()
        # The next transaction of the session has nothing to tell.
        session.execute(text("SELECT 1"))
        session.commit()
    assert client.llen(names.QUEUE) == 2


def test_redis_away_after_the_commit_is_no_failure_of_the_caller(engine, database, reconciler, client):
    made = function(database)
    with Session(engine) as session:
        mine = enqueue(session, made.id, redis_url=f"redis://127.0.0.1:{free_port()}/0")
        session.commit()
    assert invocations.get(database, mine).status is Status.QUEUED
    run_sql(database, "UPDATE invocations SET published_at = now() - interval '1 minute'")
    reconciler.publish_again()
    assert client.llen(names.QUEUE) == 1


@pytest.mark.parametrize("built", [True, False])
def test_a_build_that_ends_before_the_commit_is_noticed_after_it(engine, database, reconciler, client, built):
    made = function(database, artifact=None, runtime=Runtime.GO, handler="main")
    with Session(engine) as session:
        mine, later = enqueue(session, made.id), enqueue(session, made.id, delay="1h")
        build = builds.claim(database, made.id, 1, worker(database))
        if built:
            assert builds.succeed(database, build, "sha256:" + "cd" * 32) == []
        else:
            assert builds.fail(database, build, "no", '{"type": "Function.InitError"}') == []
        session.commit()
    reconciler.let_go()
    reconciler.admit_due()
    record = invocations.get(database, mine)
    if built:
        assert client.llen(names.QUEUE) == 1
        assert column(database, later, "due_at") == invocations.get(database, later).run_at
    else:
        assert (record.status, record.error) == (
            Status.FAILED,
            {"type": "Function.InitError", "message": "no", "stack_trace": []},
        )
        assert record.finished_at is not None


def test_one_that_waits_for_a_build_is_not_let_go_before(engine, database, reconciler):
    made = function(database, artifact=None, runtime=Runtime.GO, handler="main")
    with Session(engine) as session, session.begin():
        mine = enqueue(session, made.id)
    reconciler.let_go()
    assert upkeep.admit(database, made.id) == []
    assert histories.get(database, mine).waiting.reason == "building"
    build = builds.claim(database, made.id, 1, worker(database))
    assert builds.succeed(database, build, "sha256:" + "cd" * 32) == [mine]


def test_a_function_that_is_deleted_before_the_commit_cancels_it(engine, database, reconciler):
    made = function(database)
    with Session(engine) as session:
        mine = enqueue(session, made.id)
        functions.mark_deleted(database, made.id)
        session.commit()
    reconciler.finish_deletions()
    assert invocations.status(database, mine) is Status.CANCELLED


def test_what_can_not_run_is_refused_and_the_transaction_goes_on(engine, database):
    made = function(database, timeout_ms=1000)
    broken = function(database, name="broken")
    run_sql(database, "UPDATE function_revisions SET state = 'failed' WHERE function_id = %s", broken.id)
    with Session(engine) as session:
        for name in ("nobody", "not a name", "0192f0c1-0000-7000-8000-000000000000", made.id.upper()):
            with pytest.raises(errors.NotFound):
                enqueue(session, name)
        with pytest.raises(errors.Conflict):
            enqueue(session, "broken")
        with pytest.raises(errors.Invalid) as caught:
            enqueue(session, made.id, timeout="2s")
        assert list(caught.value.errors) == ["timeout"]
        mine = enqueue(session, made.id, timeout=1)
        session.commit()
    assert queued(database) == 1
    assert invocations.get(database, mine).status is Status.QUEUED


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("payload", {"payload": float("nan")}),
        ("payload", {"payload": {"a": "\0"}}),
        ("payload", {"payload": "\ud800"}),
        ("payload", {"payload": object()}),
        ("headers", {"headers": {"a": 1}}),
        ("headers", {"headers": {"a": "b" * 70_000}}),
        ("timeout", {"timeout": "30"}),
        ("timeout", {"timeout": 0}),
        ("delay", {"delay": "800h"}),
        ("expires_in", {"expires_in": "0s"}),
        ("expires_in", {"delay": "2s", "expires_in": "1s"}),
        ("run_at", {"run_at": datetime(2026, 1, 1)}),
        ("run_at", {"run_at": datetime.now(UTC) + timedelta(days=40)}),
        ("run_at", {"run_at": datetime.now(UTC), "delay": 1}),
    ],
)
def test_a_wrong_field_is_named_before_the_database_is_asked(field, changes):
    with Session() as session, pytest.raises(errors.Invalid) as caught:
        enqueue(session, "one", **changes)
    assert list(caught.value.errors) == [field]


def test_depth_and_size_have_their_bounds(engine, database):
    made = function(database)
    deep: list = []
    for _ in range(199):
        deep = [deep]
    with Session(engine) as session, session.begin():
        enqueue(session, made.id, deep)
        enqueue(session, made.id, r"\u0000 in letters, and [[[[ in text " + "[" * 300)
        with pytest.raises(errors.Invalid):
            enqueue(session, made.id, [deep])
        with pytest.raises(errors.TooLarge):
            enqueue(session, made.id, "ä" * 3 * 1024 * 1024 + "....")
    assert queued(database) == 2


def test_a_time_that_has_gone_by_is_now(engine, database):
    made = function(database)
    with Session(engine) as session, session.begin():
        mine = enqueue(session, made.id, run_at=datetime.now(UTC) - timedelta(days=1))
    record = invocations.get(database, mine)
    assert timedelta(0) <= record.run_at - record.created_at < timedelta(minutes=1)
    assert upkeep.admit(database, made.id) == [mine]


def test_it_expires_like_any_other(engine, database):
    made = function(database)
    claimed(database, made.id)
    with Session(engine) as session, session.begin():
        mine = enqueue(session, made.id, expires_in="1ms")
    eventually(lambda: upkeep.expire(database, made.id, 10)[0] == [mine])
    assert invocations.get(database, mine).error["type"] == "Platform.Expired"
