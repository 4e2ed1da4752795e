"""Many at once on one function: the limit is exact, and every invocation ends once."""

from __future__ import annotations

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from factories import accept, claimed, column, function, invocation, slots, succeeded, worker

from faas.db import attempts, functions, invocations, upkeep
from faas.domain import ids
from faas.domain.invocation import Status
from faas.errors import NotFound
from faas.queueing import names
from faas.queueing.publisher import connect

ROUNDS = 12


def statuses(database) -> Counter:
    with database.autocommit() as tx:
        return Counter(row.status for row in tx.rows("SELECT status FROM invocations"))


def test_sixteen_threads_on_three_slots_never_admit_more_and_all_end(database, endings, redis_url):
    client = connect(redis_url)
    made = function(database, max_concurrency=3)
    by = worker(database)
    admitted: list[str] = []
    lock, seen, wrong = threading.Lock(), threading.Event(), []

    def watch():
        while not seen.is_set():
            with database.autocommit() as tx:
                row = tx.one(
                    "SELECT (SELECT count(*) FROM invocations WHERE status = 'running' OR (status = 'queued' AND admitted_at IS NOT NULL)) AS n,"
                    " (SELECT used FROM slots) AS used"
                )
            if row.n > 3 or row.used > 3 or row.n != row.used:
                wrong.append(tuple(row))

    def submit(_):
        verdict = accept(database, made.id)
        if verdict.admitted:
            with lock:
                admitted.append(verdict.invocation_id)
        work()

    def take_published():
        """Who was admitted by an end, out of the messages."""
        while message := client.rpop(names.QUEUE):
            admitted.append(json.loads(message)["headers"]["id"])

    def work():
        while True:
            with lock:
                if not admitted:
                    return
                one = admitted.pop()
            got = attempts.claim(database, one, by)
            assert got is not None
            done = endings.end(got, succeeded(one))
            assert done.applied
            with lock:
                take_published()

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(submit, range(96)))
    work()
    seen.set()
    watcher.join()
    assert wrong == []
    assert statuses(database) == {"succeeded": 96}
    assert slots(database, made.id) == (0, 3)
    client.close()


def test_cancel_claim_and_a_second_claim_have_one_winner(database, at_once):
    made = function(database)
    by = worker(database)
    for _ in range(ROUNDS):
        one = invocation(database, made.id).id
        (cancelled, _), first, second = at_once(
            partial(invocations.cancel, database, one),
            partial(attempts.claim, database, one, by),
            partial(attempts.claim, database, one, by),
        )
        assert not (first and second)
        got = first or second
        assert cancelled == ("stopping" if got else "cancelled")
        assert invocations.status(database, one) is (Status.RUNNING if got else Status.CANCELLED)
        assert column(database, one, "cancel_requested_at") is not None


def test_cancel_and_finish_agree_on_one_terminal_status(database, endings, at_once):
    made = function(database, max_concurrency=1000)
    for _ in range(ROUNDS):
        got = claimed(database, made.id)
        (cancelled, _), done = at_once(
            partial(invocations.cancel, database, got.invocation_id), partial(endings.end, got, succeeded(1))
        )
        assert done.applied
        assert cancelled in ("stopping", "terminal")
        assert invocations.status(database, got.invocation_id) is Status.SUCCEEDED
    assert slots(database, made.id) == (0, 1000)


def test_two_ends_of_one_attempt_write_one(database, endings, at_once):
    made = function(database)
    for _ in range(ROUNDS):
        got = claimed(database, made.id)
        done = at_once(*[partial(endings.end, got, succeeded(n)) for n in range(4)])
        assert [one.applied for one in done].count(True) == 1
        winner = next(n for n, one in enumerate(done) if one.applied)
        assert invocations.get(database, got.invocation_id).result == winner
    assert slots(database, made.id) == (0, 10)


def test_what_is_accepted_while_a_function_is_deleted_ends(database, at_once):
    for _ in range(ROUNDS):
        made = function(database, max_concurrency=1)
        *verdicts, _ = at_once(
            *[partial(accept, database, made.id)] * 4, partial(functions.mark_deleted, database, made.id)
        )
        accepted = [one.invocation_id for one in verdicts if one.verdict == "accepted"]
        assert {one.verdict for one in verdicts} <= {"accepted", "missing"}
        assert sorted(invocations.cancel_queued_of(database, made.id, 100)) == sorted(accepted)
    assert set(statuses(database)) <= {"cancelled"}


def test_two_deletions_are_one(database, at_once):
    made = function(database)
    done = at_once(*[lambda: functions.mark_deleted(database, made.id) for _ in range(3)])
    assert done.count(made.id) == 1
    assert all(isinstance(one, NotFound) for one in done if one != made.id)


def test_a_changing_limit_is_kept_by_whoever_is_accepted_meanwhile(database, at_once):
    made = function(database, max_concurrency=1)

    def change(limit):
        with database.begin() as tx:
            now = functions.lock(tx, made.id)
            functions.add_revision(
                tx, now, now.name, make_spec(limit), functions.Code(now.code_digest, 1, now.code_digest)
            )
            return functions.admit(tx, made.id)

    def make_spec(limit):
        return type(made.spec)(runtime=made.spec.runtime, handler=made.spec.handler, max_concurrency=limit)

    for limit in (2, 5, 3, 8, 8, 12):
        done = at_once(*[lambda: accept(database, made.id) for _ in range(5)], lambda limit=limit: change(limit))
        assert not [one for one in done if isinstance(one, Exception)]
        used, capacity = slots(database, made.id)
        assert capacity == limit
        # A lower limit is reached by and by: nobody who was admitted is sent back.
        assert used <= 12
        verdicts = [one.invocation for one in done[:-1]]
        assert all(
            one.revision in (functions.get(database, made.id).revision, functions.get(database, made.id).revision - 1)
            for one in verdicts
        )
    admitted = upkeep.unheard(database, upkeep.clock(database), 100)
    assert len(admitted) == slots(database, made.id)[0] == 12
    assert upkeep.mend_slots(database) == 0


def test_twenty_calls_with_one_key_make_one_invocation(database, at_once):
    one, other = function(database), function(database)
    verdicts = at_once(
        *[lambda n=n: accept(database, (one, other)[n % 2].id, key="k", fingerprint=b"same") for n in range(20)]
    )
    assert Counter(verdict.verdict for verdict in verdicts) == {"accepted": 1, "replayed": 19}
    assert len({verdict.invocation_id for verdict in verdicts}) == 1
    assert sum(statuses(database).values()) == 1
    assert slots(database, one.id)[0] + slots(database, other.id)[0] == 1
    again = accept(database, one.id, key="k", fingerprint=b"another")
    assert (again.verdict, again.invocation) == ("mismatch", None)


def test_a_key_is_free_again_after_a_day(database, at_once):
    made = function(database)
    first = accept(database, made.id, key="k", fingerprint=b"a")
    with database.autocommit() as tx:
        tx.run("UPDATE idempotency_keys SET created_at = now() - interval '25 hours'")
    verdicts = at_once(*[lambda: accept(database, made.id, key="k", fingerprint=b"b") for _ in range(6)])
    assert Counter(verdict.verdict for verdict in verdicts) == {"accepted": 1, "replayed": 5}
    assert first.invocation_id not in {verdict.invocation_id for verdict in verdicts}
    assert upkeep.drop_old_keys(database, 10) == 0


def test_a_refused_request_does_not_use_its_key_up(database):
    made = function(database, timeout_ms=1000)
    assert accept(database, made.id, key="k", fingerprint=b"a", timeout_ms=2000).verdict == "too_long"
    assert accept(database, made.id, key="k", fingerprint=b"b").verdict == "accepted"


def test_two_upkeeps_at_once_take_each_row_once(database, at_once):
    made = [function(database, max_concurrency=4) for _ in range(3)]
    mine = [invocation(database, one.id).id for one in made for _ in range(4)]
    before = upkeep.clock(database)
    portions = at_once(*[lambda: upkeep.unheard(database, before, 5) for _ in range(4)])
    taken = [one for portion in portions for one in portion]
    assert len(taken) == len(set(taken))
    assert set(taken) <= set(mine)
    assert set(upkeep.unheard(database, before, 100)) == set(mine) - set(taken)
    assert upkeep.unheard(database, before, 100) == []


def test_writers_of_many_functions_never_wait_in_a_circle(database, endings, at_once):
    made = [function(database, max_concurrency=50) for _ in range(4)]
    by = worker(database)
    claims = [claimed(database, one.id, by) for one in made for _ in range(10)]
    ends = [
        attempts.AttemptEnd(one.revision.function_id, one.invocation_id, one.attempt, Status.SUCCEEDED, result="1")
        for one in claims
    ]
    halves = ends[::2], ends[::-2]
    done = at_once(
        *[partial(attempts.finish, database, half) for half in halves],
        lambda: [invocations.cancel(database, one.invocation_id) for one in claims],
    )
    assert not [one for one in done if isinstance(one, Exception)]
    assert [slots(database, one.id)[0] for one in made] == [0] * 4
    assert statuses(database) == {"succeeded": 40}


def test_an_end_of_what_is_not_there_is_refused(database):
    unknown = ids.uuid7()
    done, admitted = attempts.finish(database, [attempts.AttemptEnd(unknown, unknown, 1, Status.SUCCEEDED, result="1")])
    assert (done[0].applied, done[0].status, admitted) == (False, None, [])
