"""Counting in memory, and finding the series again."""

from __future__ import annotations

import threading

from prometheus_client.parser import text_string_to_metric_families

from faas.telemetry import catalogue, exposition
from faas.telemetry.counts import Counts


def told(*fields, routes=()):
    reading = exposition.Reading(frozenset(routes))
    for one in fields:
        reading.add(one)
    assert reading.unknown == []
    families = text_string_to_metric_families(exposition.text(reading.families).decode())
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value for family in families for sample in family.samples
    }


def test_what_is_counted_is_told_and_taken_once():
    counts = Counts()
    counts.add(catalogue.CLAIMS, "claimed")
    counts.add(catalogue.CLAIMS, "claimed", by=2)
    found = told(counts.take())
    assert found["faas_claims_total", ("result", "claimed")] == 3
    assert found["faas_claims_total", ("result", "nothing")] == 0
    assert counts.take() == {}


def test_a_bound_belongs_to_its_bucket_and_buckets_add_up():
    counts = Counts()
    for seconds in (0.001, 0.0011, 59, 61):
        counts.observe(catalogue.HTTP_SECONDS, seconds, "GET", "/x")
    found = told(counts.take(), routes={"/x"})

    def bucket(bound):
        return found["faas_http_request_seconds_bucket", ("le", bound), ("method", "GET"), ("route", "/x")]

    assert [bucket(bound) for bound in ("0.001", "0.0025", "30.0", "60.0", "+Inf")] == [1, 2, 2, 3, 4]
    assert found["faas_http_request_seconds_sum", ("method", "GET"), ("route", "/x")] == 120.0021


def test_gauges_of_all_processes_are_added_up():
    def process(number):
        counts = Counts()
        counts.watch(lambda: [(catalogue.SANDBOXES, ("idle",), number)])
        counts.watch(lambda: [(catalogue.SANDBOXES, ("idle",), 1), (catalogue.SANDBOX_WAITING, (), number)])
        return counts.gauges()

    found = told(process(2), process(5))
    assert found["faas_sandboxes", ("state", "idle")] == 9
    assert found["faas_sandbox_waiting",] == 7


def test_nothing_is_lost_between_threads_and_takers():
    counts, taken, done = Counts(), [], threading.Event()

    def count():
        for _ in range(5000):
            counts.add(catalogue.CLAIMS, "claimed")
            counts.observe(catalogue.BROKER_SECONDS, 0.001, "publish")

    def take():
        while not done.is_set():
            taken.append(counts.take())

    threads, taker = [threading.Thread(target=count) for _ in range(4)], threading.Thread(target=take)
    for thread in (*threads, taker):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    taker.join()
    found = told(*taken, counts.take())
    assert found["faas_claims_total", ("result", "claimed")] == 20_000
    assert found["faas_broker_seconds_count", ("command", "publish")] == 20_000


def test_names_are_those_that_prometheus_asks_for():
    for counter in catalogue.COUNTERS:
        assert not counter.name.endswith("_total")
    for histogram in catalogue.HISTOGRAMS:
        assert histogram.name.endswith("_seconds")
        assert list(histogram.bounds) == sorted(set(histogram.bounds))
