"""Batches: all or none, in one commit."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from factories import function, slots

from faas.db import batches, invocations
from faas.db.invocations import Submission
from faas.domain import ids
from faas.domain.invocation import Status


def batch(*refs, **changes):
    given = {"payload": "null", "headers": {}, "batch_id": ids.uuid7(), **changes}
    return [Submission(ids.uuid7(), ref, **given) for ref in refs]


def accept(database, submissions, key=None, fingerprint=b""):
    return batches.accept(database, submissions, key, fingerprint)


def found(database, batch_id, limit=50):
    return invocations.find(database, function_id=None, status=None, limit=limit, cursor=None, batch_id=batch_id).items


def test_functions_by_id_and_name_are_accepted_up_to_their_limits(database):
    one, two = function(database, name="one", max_concurrency=2), function(database, max_concurrency=1)
    asked = batch(two.id, "one", "one", two.id, one.id)
    verdicts = accept(database, asked)
    assert [v.invocation_id for v in verdicts] == [a.invocation_id for a in asked]
    assert [v.invocation.function_id for v in verdicts] == [two.id, one.id, one.id, two.id, one.id]
    assert [v.admitted for v in verdicts] == [True, True, True, False, False]
    assert (slots(database, one.id), slots(database, two.id)) == ((2, 2), (1, 1))
    batch_id = asked[0].batch_id
    assert [r.id for r in found(database, batch_id)] == [a.invocation_id for a in reversed(asked)]
    assert [r.id for r in found(database, batch_id, limit=2)] == [a.invocation_id for a in reversed(asked[-2:])]
    assert batches.counts(database, batch_id) == {status: 5 if status is Status.QUEUED else 0 for status in Status}
    assert batches.members(database, asked[3].invocation_id) == (batch_id, [a.invocation_id for a in asked])


def test_one_refusal_leaves_nothing_of_the_others(database):
    made = function(database, name="one", timeout_ms=1000)
    asked = batch("one", "nobody", "one")
    verdicts = accept(database, asked, "k", b"f")
    assert [v.verdict for v in verdicts] == ["accepted", "missing", "accepted"]
    assert found(database, asked[0].batch_id) == []
    assert slots(database, made.id) == (0, 10)
    # The key was not used up.
    assert accept(database, batch("one"), "k", b"other")[0].verdict == "accepted"


def test_a_key_makes_one_batch(database):
    function(database, name="one")
    function(database, name="two")
    asked = batch("one", "two", "one")
    assert {v.verdict for v in accept(database, asked, "k", b"f")} == {"accepted"}
    again = [v for v in accept(database, batch("one", "two", "one"), "k", b"f") if v.verdict != "accepted"]
    assert [v.verdict for v in again] == ["replayed"]
    assert batches.members(database, again[0].invocation_id)[0] == asked[0].batch_id
    assert "mismatch" in {v.verdict for v in accept(database, batch("two"), "k", b"g")}
    assert len(invocations.find(database, function_id=None, status=None, limit=50, cursor=None).items) == 3


def test_batches_of_the_same_functions_and_key_at_once_never_wait_in_a_circle(database):
    refs = [function(database).id for _ in range(4)]
    start = threading.Barrier(6)

    def go(n):
        start.wait(60)
        for _ in range(5):
            order = refs[n % 4 :] + refs[: n % 4]
            accept(database, batch(*order, *reversed(order)))
        return accept(database, batch(*refs[n % 2 :]), "k", b"same")

    with ThreadPoolExecutor(6) as pool:
        last = list(pool.map(go, range(6)))
    assert sum(all(v.verdict == "accepted" for v in verdicts) for verdicts in last) == 1


def test_what_is_no_batch_has_nothing(database):
    assert found(database, ids.uuid7()) == []
    assert set(batches.counts(database, ids.uuid7()).values()) == {0}
    assert batches.members(database, ids.uuid7()) == (None, [])


def test_a_thousand(database):
    made = function(database, max_concurrency=1000)
    asked = batch(*[made.id] * 1000)
    assert all(v.admitted for v in accept(database, asked))
    assert batches.counts(database, asked[0].batch_id)[Status.QUEUED] == 1000
    assert slots(database, made.id) == (1000, 1000)
