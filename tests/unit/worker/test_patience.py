"""When a call had better wait for a sandbox."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from faas.worker.patience import Patience, Standing

KEY, OTHER = ("function", 1), ("function", 2)


@pytest.fixture
def patience():
    return Patience(cpus=2)


def stand(patience, until=1.0, key=KEY):
    running = SimpleNamespace(claim=SimpleNamespace(revision=SimpleNamespace(key=key)))
    one = Standing(running, lambda *_: None, lambda: None, until)
    patience.stand(one)
    return one


def waits(patience, in_use, now=0.0, most=1000):
    """How many calls choose to wait before one does not."""
    for count in range(most):
        if not patience.is_worth_it(KEY, in_use, now):
            return count
        stand(patience)
    return most


def test_nobody_waits_where_nothing_is_known_or_nothing_runs(patience):
    assert not patience.is_worth_it(KEY, 1, 0.0)
    patience.took(KEY, 0.001)
    assert not patience.is_worth_it(KEY, 0, 0.0)
    assert not patience.is_worth_it(OTHER, 1, 0.0)
    assert patience.is_worth_it(KEY, 1, 0.0)


def test_no_longer_wait_is_chosen_than_20_ms(patience):
    patience.took(KEY, 0.021)
    assert not patience.is_worth_it(KEY, 1, 0.0)
    assert patience.is_worth_it(KEY, 2, 0.0)


def test_what_is_waited_adds_up_until_another_sandbox_is_worth_it(patience):
    patience.took(KEY, 0.011)
    # 11 ms each, one after another, until more than 150 ms would have been waited.
    assert [patience.is_worth_it(KEY, 1, 0.0) for _ in range(15)] == [True] * 13 + [False, True]


def test_short_calls_want_no_more_sandboxes_than_twice_the_processors(patience):
    patience.took(KEY, 0.001)
    assert waits(patience, in_use=3) < 50
    many = Patience(cpus=2)
    many.took(KEY, 0.001)
    # 80 of 1 ms over 4 sandboxes are 20 ms, however often.
    for _ in range(100):
        assert many.is_worth_it(KEY, 4, 0.0)
    assert waits(many, in_use=4) == 80


def test_of_many_that_come_at_once_few_fetch_a_sandbox(patience):
    patience.took(KEY, 0.002)
    chosen = []
    for _ in range(32):
        chosen.append(patience.is_worth_it(KEY, 1, 0.0))
        if chosen[-1]:
            stand(patience)
    assert chosen.count(False) == 3
    # A moment later those that were fetched are among the ones in use, or never came.
    assert not patience.is_worth_it(KEY, 1, 1.0)


def test_a_busy_machine_makes_calls_seem_long_only_slowly(patience):
    patience.took(KEY, 0.001)
    for _ in range(5):
        patience.took(KEY, 0.050)
    assert patience.is_worth_it(KEY, 1, 0.0)
    for _ in range(50):
        patience.took(KEY, 0.050)
    assert not patience.is_worth_it(KEY, 1, 0.0)
    for _ in range(6):
        patience.took(KEY, 0.001)
    assert patience.is_worth_it(KEY, 1, 0.0)


def test_first_come_first_served_by_revision(patience):
    first, second, other = stand(patience), stand(patience), stand(patience, key=OTHER)
    assert patience.anybody(KEY)
    assert [patience.next(KEY) for _ in range(3)] == [first, second, None]
    assert not patience.anybody(KEY)
    assert patience.next(OTHER) is other


def test_who_is_late_leaves_his_place(patience):
    assert patience.earliest() is None
    first, second = stand(patience, until=1.0), stand(patience, until=2.0)
    assert patience.earliest() == 1.0
    assert patience.late(0.5) is None
    assert patience.late(1.5) is first
    assert patience.late(1.5) is None
    assert patience.next(KEY) is second
    assert patience.earliest() is None


def test_the_times_of_so_many_revisions_are_known(patience):
    for number in range(2000):
        patience.took(("function", number), 0.001)
    assert not patience.is_worth_it(("function", 0), 1, 0.0)
    assert patience.is_worth_it(("function", 1999), 1, 0.0)
