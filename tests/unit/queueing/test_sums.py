"""Reports of processes, added up in a real Redis."""

from __future__ import annotations

import time
from contextlib import contextmanager

import pytest
import redis

from faas.embedded.ports import free_port
from faas.errors import BrokerDown
from faas.queueing.reporter import Reporter
from faas.queueing.sums import SumsInRedis
from faas.telemetry import catalogue
from faas.telemetry.counts import Counts

CLAIMED = '["faas_claims","claimed"]'


@pytest.fixture
def process(redis_url):
    """Makes processes that report."""
    made = []

    def make(name, lifetime_s=60.0):
        made.append(SumsInRedis(redis_url, name, lifetime_s))
        return made[-1]

    yield make
    for one in made:
        one.close()


@contextmanager
def full(url):
    """Redis takes nothing more."""
    with redis.Redis.from_url(url) as broker:
        before = broker.config_get("maxmemory")["maxmemory"]
        broker.config_set("maxmemory", 1)
        try:
            yield
        finally:
            broker.config_set("maxmemory", before)


def test_reports_add_up(process):
    one, other = process("one"), process("other")
    one.report(1, {CLAIMED: 2, "x": 0.25}, {"g": 1})
    other.report(1, {CLAIMED: 3}, {"g": 5})
    one.report(2, {CLAIMED: 1, "x": 0.5}, {"g": 2})
    read = one.read()
    assert {field: float(number) for field, number in read.counted.items()} == {CLAIMED: 6, "x": 0.75}
    assert sorted(gauges["g"] for gauges in read.gauges) == [2, 5]


def test_a_report_that_comes_twice_is_added_once(process):
    one = process("one")
    for _ in range(3):
        one.report(7, {CLAIMED: 2}, {})
    assert one.read().counted == {CLAIMED: "2"}


def test_gauges_of_a_silent_process_go_and_its_counts_stay(process):
    gone, left, alive = process("gone", 0.05), process("left"), process("alive")
    for one in (gone, left, alive):
        one.report(1, {CLAIMED: 1}, {"g": 1})
    left.leave()
    time.sleep(0.1)
    for _ in range(2):
        read = alive.read()
        assert len(read.gauges) == 1
        assert read.counted == {CLAIMED: "3"}
    gone.report(2, {}, {"g": 1})
    assert len(alive.read().gauges) == 2


def test_a_redis_that_is_away_is_said():
    sums = SumsInRedis(f"redis://127.0.0.1:{free_port()}/0", "one", 60.0)
    for action in (sums.read, sums.leave, lambda: sums.forget(["x"]), lambda: sums.report(1, {}, {})):
        with pytest.raises(BrokerDown):
            action()
    sums.close()


def test_what_can_not_be_sent_is_kept(redis_url):
    counts = Counts()
    reporter = Reporter(counts, redis_url, "worker", 60.0)
    with full(redis_url):
        for _ in range(3):
            counts.add(catalogue.CLAIMS, "claimed")
            with pytest.raises(BrokerDown):
                reporter.flush()
    reporter.flush()
    assert reporter.sums.read().counted[CLAIMED] == "3"
    reporter.stop()


def test_it_reports_by_itself_and_for_the_last_time_when_it_stops(redis_url, process):
    counts = Counts()
    reporter = Reporter(counts, redis_url, "worker", 0.05)
    reporter.start()
    counts.add(catalogue.CLAIMS, "claimed")
    reader, deadline = process("reader"), time.monotonic() + 60
    while CLAIMED not in reader.read().counted:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    counts.add(catalogue.CLAIMS, "claimed", by=4)
    reporter.stop()
    read = reader.read()
    assert (read.counted[CLAIMED], read.gauges) == ("5", [])


def test_a_report_that_was_refused_left_nothing(redis_url, process):
    one = process("one")
    with full(redis_url), pytest.raises(BrokerDown):
        one.report(1, {CLAIMED: 1}, {})
    one.report(1, {CLAIMED: 1}, {})
    assert one.read().counted == {CLAIMED: "1"}
