"""PostgreSQL and Redis go away and come back; nothing hangs, and nothing that was promised is lost."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from factories import claimed, eventually, function, invocation, slots, succeeded, worker

from faas import config
from faas.db import attempts, invocations
from faas.db.database import Database
from faas.domain.invocation import Status
from faas.embedded import postgres
from faas.embedded.process import Child, Program
from faas.errors import DatabaseDown
from faas.queueing.listener import Listener
from faas.queueing.publisher import Publisher
from faas.reconciler.loop import Reconciler
from faas.results.endings import Endings
from faas.services import Services
from faas.services.requests import NewInvocation
from faas.web import migrate

START = 90.0


@dataclass
class Own:
    """A PostgreSQL server of the test's own."""

    url: str
    near_url: str
    program: Program
    child: Child

    def stop(self) -> None:
        self.child.stop()

    def start(self) -> None:
        """On the same port as before."""
        self.child = Child(self.program)
        self.child.wait_ready(START)


@pytest.fixture(scope="module")
def own_server(tmp_path_factory, servers):
    # The folder of `servers` was opened for PostgreSQL's account, and this one lies beside it.
    folder = tmp_path_factory.mktemp("own")
    folder.chmod(0o755)
    made = postgres.prepare(folder / "postgres", folder / "log")
    own = Own(made.url, made.near_url, made.program, Child(made.program))
    own.child.wait_ready(START)
    migrate.upgrade(made.url)
    yield own
    own.stop()


@pytest.fixture
def own(own_server):
    if own_server.child.status is not None:
        own_server.start()
    return own_server


@pytest.fixture
def own_database(own):
    opened = Database(own.url, connections=8)
    yield opened
    opened.close()


def test_ends_wait_for_postgres_and_are_written_when_it_is_back(own, own_database, publisher):
    endings = Endings(own_database, publisher, platform_retries=3)
    made = function(own_database, max_concurrency=100)
    by = worker(own_database)
    claims = [claimed(own_database, made.id, by) for _ in range(8)]
    own.stop()
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(endings.end, one, succeeded(n)) for n, one in enumerate(claims)]
        time.sleep(1.0)
        assert not any(one.done() for one in waiting)
        own.start()
        assert all(one.result(120).applied for one in waiting)
    assert [invocations.get(own_database, one.invocation_id).result for one in claims] == list(range(8))
    assert slots(own_database, made.id) == (0, 100)


def test_whoever_writes_an_end_in_passing_does_not_wait_for_postgres(own, own_database, publisher):
    endings = Endings(own_database, publisher, platform_retries=3)
    made = function(own_database, max_concurrency=100)
    by = worker(own_database)
    first, *others = [claimed(own_database, made.id, by) for _ in range(4)]
    written = queue.Queue()
    endings.end_soon(first, succeeded(0), lambda: written.put(0))
    assert written.get(timeout=60) == 0
    own.stop()
    for n, one in enumerate(others, 1):
        endings.end_soon(one, succeeded(n), lambda n=n: written.put(n))
    assert written.empty()
    own.start()
    assert {written.get(timeout=120) for _ in others} == {1, 2, 3}
    assert [invocations.get(own_database, one.invocation_id).result for one in (first, *others)] == list(range(4))
    endings.close()


def test_a_process_that_stops_waits_for_postgres_no_longer(own, own_database, publisher):
    endings = Endings(own_database, publisher, platform_retries=3)
    made = function(own_database)
    by = worker(own_database)
    claims = [claimed(own_database, made.id, by) for _ in range(4)]
    own.stop()
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(endings.end, one, succeeded(1)) for one in claims]
        time.sleep(0.3)
        endings.close()
        for one in waiting:
            assert isinstance(one.exception(120), DatabaseDown)
    own.start()
    assert {invocations.status(own_database, one.invocation_id) for one in claims} == {Status.RUNNING}


def test_a_claim_that_a_crash_has_lost_is_nobodys(own, own_database, publisher):
    endings = Endings(own_database, publisher, platform_retries=3)
    made, first, second = function(own_database), worker(own_database), worker(own_database)
    mine = invocation(own_database, made.id).id
    with own_database.autocommit() as tx:
        writer = tx.one("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'").pid
    # Nothing comes to the disk but what is waited for.
    os.kill(writer, signal.SIGSTOP)
    lost = attempts.claim(own_database, mine, first)
    own.child.kill()
    os.kill(writer, signal.SIGCONT)
    # Its processes leave when they see that the first of them is gone.
    eventually(lambda: not Path(f"/proc/{writer}").exists())
    own.start()
    # The answer to its acceptance was waited for, so that is there.
    assert invocations.status(own_database, mine) is Status.QUEUED
    again = attempts.claim(own_database, mine, second)
    assert (lost.attempt, again.attempt) == (1, 1)
    assert not endings.end(lost, succeeded("lost")).applied
    assert endings.end(again, succeeded("again")).applied
    assert invocations.get(own_database, mine).result == "again"
    endings.close()


def answers(database):
    try:
        database.ping()
    except DatabaseDown:
        return False
    return True


def test_a_crash_is_an_outage_for_those_who_are_connected_by_the_socket_file_too(own):
    assert own.near_url != own.url
    near, pid = Database(own.near_url, connections=4), "SELECT pg_backend_pid() AS pid"
    for _ in range(3):
        with pytest.raises(DatabaseDown), near.autocommit() as mine:
            ours = mine.one(pid).pid
            with near.autocommit() as other:
                os.kill(other.one(pid).pid, signal.SIGKILL)
            # The server ends all others with the one that crashed.
            eventually(lambda pid=ours: not Path(f"/proc/{pid}").exists())
            mine.one("SELECT 1")
        eventually(lambda: answers(near))
    near.close()


def test_services_say_that_the_database_is_down_and_work_again_after(own, own_database, redis_url, tmp_path):
    services = Services.open(
        config.load({"DATABASE_URL": own.url, "REDIS_URL": redis_url, "STORAGE_BASE_DIR": str(tmp_path)})
    )
    try:
        made = function(own_database)
        one = services.invocations.invoke(NewInvocation(made.id, "null", {})).invocation
        own.stop()
        asks = [
            lambda: services.invocations.invoke(NewInvocation(made.id, "null", {})),
            lambda: services.invocations.get(one.id),
            lambda: services.invocations.wait(one.id, 30.0),
            lambda: services.invocations.find(),
            lambda: services.invocations.cancel(one.id),
            lambda: services.functions.get(made.id),
            lambda: services.functions.delete(made.id),
        ]
        for ask in asks:
            with pytest.raises(DatabaseDown) as caught:
                ask()
            assert "\n" not in str(caught.value)
        report = services.health.check()
        assert (report.ok, report.checks["broker"]) == (False, "ok")
        own.start()
        assert services.invocations.get(one.id).status is Status.QUEUED
        assert len(services.invocations.find(function=made.id).items) == 1
    finally:
        services.close()


def test_no_worker_is_taken_as_lost_because_the_database_was_away(own, own_database, publisher):
    endings = Endings(own_database, publisher, platform_retries=3)
    reconciler = Reconciler(own_database, publisher, endings, lease_s=2.0)
    got = claimed(own_database, function(own_database).id)
    reconciler._up_since = time.monotonic() - 3600
    own.stop()
    reconciler.round()
    own.start()
    with own_database.autocommit() as tx:
        tx.run("UPDATE workers SET beat_at = now() - interval '1 hour'")
    for duty in reconciler._duties:
        duty.due = 0.0
    reconciler.round()
    assert invocations.status(own_database, got.invocation_id) is Status.RUNNING

    def expired():
        reconciler.round()
        return invocations.status(own_database, got.invocation_id) is not Status.RUNNING

    eventually(expired)


def test_a_pool_with_every_connection_in_use_is_database_down(database_url, monkeypatch):
    monkeypatch.setattr("faas.db.database._POOL_SECONDS", 0.2)
    small = Database(database_url, connections=1)
    with small.begin() as tx:
        tx.one("SELECT 1")
        with pytest.raises(DatabaseDown, match="in use"):
            small.ping()
    small.ping()
    small.close()


def test_a_connection_that_was_killed_while_it_rested_is_replaced_and_a_killed_transaction_is_database_down(
    database, database_url
):
    other = Database(database_url, connections=2)
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    database.ping()
    with other.autocommit() as tx:
        tx.rows(kill)
    # One that has just been used is trusted; one that rested is asked first.
    time.sleep(1.2)
    database.ping()
    with pytest.raises(DatabaseDown), database.begin() as tx:
        tx.one("SELECT 1")
        with other.autocommit() as killer:
            killer.rows(kill)
        tx.one("SELECT 1")
    other.close()


def test_a_flushed_redis_loses_nothing(database, publisher, redis_url):
    endings = Endings(database, publisher, platform_retries=3)
    reconciler = Reconciler(database, publisher, endings, lease_s=10.0)
    reconciler.publish_again()
    made = function(database, max_concurrency=40)
    mine = [invocation(database, made.id).id for _ in range(60)]
    publisher.invocations(mine[:40])
    publisher._connected()[0].flushall()
    by = worker(database)
    for _ in range(3):
        for duty in reconciler._duties:
            duty.due = 0.0
        reconciler.round()
        client = publisher._connected()[0]
        while client.rpop("faas"):
            pass
        for one in mine:
            if got := attempts.claim(database, one, by):
                endings.end(got, succeeded(1))
    assert {invocations.status(database, one) for one in mine} == {Status.SUCCEEDED}
    assert slots(database, made.id) == (0, 40)


def test_a_listener_survives_a_redis_that_refuses_it_for_a_while(publisher, redis_url):
    heard = threading.Event()
    client = publisher._connected()[0]
    listener = Listener(redis_url, ("channel",), lambda _: heard.set())
    client.config_set("maxclients", "1")
    try:
        listener.start()
        time.sleep(0.5)
    finally:
        client.config_set("maxclients", "10000")
    eventually(lambda: client.publish("channel", "x") == 1)
    assert heard.wait(60)
    listener.stop()


def test_without_redis_an_end_is_written_all_the_same(database):
    from faas.embedded.ports import free_port

    away = Publisher(f"redis://127.0.0.1:{free_port()}/0")
    endings = Endings(database, away, platform_retries=0)
    got = claimed(database, function(database).id)
    assert endings.end(got, succeeded(1)).applied
    away.close()
