"""Accepting together those that come together: each has its own verdict, and all of them one commit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import redis
from factories import column, eventually, function, run_sql, slots

from faas.db import invocations
from faas.db.database import Database
from faas.db.invocations import Submission
from faas.domain import ids
from faas.embedded.ports import free_port
from faas.errors import DatabaseDown
from faas.queueing import names
from faas.services.accepting import Accepting
from faas.telemetry.catalogue import DATABASE_SECONDS


@pytest.fixture
def accepting(database, publisher):
    return Accepting(database, publisher)


@pytest.fixture
def queued(redis_url):
    client = redis.Redis.from_url(redis_url)
    yield lambda: client.llen(names.QUEUE)
    client.close()


@contextmanager
def held(database, function_id):
    """Nobody is accepted of a function inside."""
    with database.begin() as tx:
        tx.rows("SELECT 1 FROM slots WHERE function_id = %s FOR UPDATE", (function_id,))
        yield


def submission(ref, payload="1", **changes):
    return Submission(ids.uuid7(), ref, payload, {}, **changes)


def statements(database):
    """How many statements have accepted something since this was last asked."""
    taken = database.counts.take()
    return sum(
        number
        for field, number in taken.items()
        if field.startswith(f'["{DATABASE_SECONDS.name}","accept","') and '"sum"' not in field
    )


def together(accepting, database, function_id, wanted, replies=""):
    """Accept the first, which has to wait; the others come meanwhile. What became of each, in order."""
    with ThreadPoolExecutor(len(wanted)) as pool:
        with held(database, function_id):
            asked = [pool.submit(accepting.accept, wanted[0], replies)]
            eventually(lambda: waiting_for_a_lock(database))
            asked += [pool.submit(accepting.accept, one, replies) for one in wanted[1:]]
            eventually(lambda: sum(len(group) for group in accepting._waiting.values()) == len(wanted) - 1)
        return asked


LOCKED = "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def waiting_for_a_lock(database):
    with database.autocommit() as tx:
        return tx.one(f"SELECT count(*) AS n {LOCKED}").n


def test_one_by_one_each_is_accepted_at_once(accepting, database, queued):
    made = function(database, max_concurrency=2)
    verdicts = [accepting.accept(submission(made.name)) for _ in range(3)]
    assert [one.admitted for one in verdicts] == [True, True, False]
    assert (queued(), statements(database), accepting._waiting) == (2, 3, {})


def test_those_that_come_together_share_a_statement_and_the_limit_is_exact(accepting, database, queued):
    made = function(database, max_concurrency=5)
    wanted = [submission(made.id, str(n)) for n in range(12)]
    statements(database)
    verdicts = [one.result(60) for one in together(accepting, database, made.id, wanted)]
    assert [one.invocation_id for one in verdicts] == [one.invocation_id for one in wanted]
    assert [one.admitted for one in verdicts] == [True] * 5 + [False] * 7
    assert [invocations.get(database, one.invocation_id).payload for one in verdicts] == list(range(12))
    assert (slots(database, made.id), queued(), statements(database)) == ((5, 5), 5, 2)
    assert accepting._waiting == {}


def test_what_is_refused_is_so_by_itself(accepting, database, queued):
    made = function(database, timeout_ms=1000, max_concurrency=9)
    wanted = [submission(made.id, timeout_ms=2000 if n in (1, 3) else None) for n in range(5)]
    verdicts = [one.result(60).verdict for one in together(accepting, database, made.id, wanted)]
    assert verdicts == ["accepted", "too_long", "accepted", "too_long", "accepted"]
    assert (slots(database, made.id), queued()) == ((3, 9), 3)


def test_one_that_can_not_be_written_costs_nobody_else_theirs(accepting, database, queued):
    made = function(database, max_concurrency=9)
    wanted = [submission(made.id, '"\0"' if n == 2 else "1") for n in range(4)]
    asked = together(accepting, database, made.id, wanted)
    assert isinstance(asked[2].exception(60), ValueError)
    assert all(asked[n].result(60).admitted for n in (0, 1, 3))
    assert (slots(database, made.id), queued()) == ((3, 9), 3)


def test_functions_do_not_wait_for_each_other_nor_those_with_a_key(accepting, database):
    slow, quick = function(database), function(database)
    with ThreadPoolExecutor(2) as pool:
        with held(database, slow.id):
            waits = pool.submit(accepting.accept, submission(slow.id))
            eventually(lambda: waiting_for_a_lock(database))
            assert accepting.accept(submission(quick.id)).verdict == "accepted"
            keyed = pool.submit(accepting.accept, submission(slow.id, key="k", fingerprint=b"f"))
            assert list(accepting._waiting.values()) == [[]]
        assert {waits.result(60).verdict, keyed.result(60).verdict} == {"accepted"}
    assert column(database, keyed.result().invocation_id, "function_id") == slow.id


def test_a_function_that_goes_meanwhile_is_missing_for_all_that_follow(accepting, database):
    made = function(database, max_concurrency=9)
    wanted = [submission(made.id) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        with database.begin() as tx:
            tx.run("DELETE FROM slots WHERE function_id = %s", (made.id,))
            asked = [pool.submit(accepting.accept, one) for one in wanted]
            eventually(lambda: sum(len(group) for group in accepting._waiting.values()) == 2)
        assert [one.result(60).verdict for one in asked] == ["missing"] * 3


def test_without_a_database_everybody_is_told(publisher):
    nowhere = Database(f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    accepting = Accepting(nowhere, publisher)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(accepting.accept, submission("one")) for _ in range(40)]
        assert all(isinstance(one.exception(60), DatabaseDown) for one in asked)
    assert accepting._waiting == {}
    nowhere.close()


def test_an_answer_that_was_lost_on_the_way_is_told_to_those_whom_it_was_for(accepting, database):
    made = function(database, max_concurrency=9)
    wanted = [submission(made.id) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        with held(database, made.id):
            asked = [pool.submit(accepting.accept, one) for one in wanted]
            eventually(lambda: waiting_for_a_lock(database))
            eventually(lambda: sum(len(group) for group in accepting._waiting.values()) == 3)
            run_sql(database, f"SELECT pg_terminate_backend(pid) {LOCKED}")
        errors = [one.exception(60) for one in asked]
    assert sorted(type(error) for error in errors if error) == [DatabaseDown]
    assert slots(database, made.id) == (3, 9)
