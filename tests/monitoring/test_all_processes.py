"""A scrape tells of all processes, whichever answers it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from e2e.cluster import PATIENCE, Cluster, eventually, parallel
from prometheus_client.parser import text_string_to_metric_families


def scrape(cluster: Cluster) -> dict[Any, float]:
    """The samples of a scrape, over a new connection: (name, labels without order) to the value."""
    answer = cluster.call("GET", "/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process group that does nothing meanwhile."""
    os.killpg(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(pid, signal.SIGCONT)


def test_requests_to_several_processes_are_all_in_any_scrape(cluster: Cluster) -> None:
    key = ("faas_http_requests_total", ("method", "GET"), ("route", "/health/live"), ("status", "200"))
    before = scrape(cluster).get(key, 0)

    def four_requests(_: int) -> None:
        for _ in range(2):
            cluster.call("GET", "/health/live")
        with requests.Session() as kept:
            for _ in range(2):
                kept.get(cluster.url() + "/health/live", timeout=PATIENCE)

    parallel(four_requests, range(50))
    eventually(lambda: scrape(cluster).get(key) == before + 200, "all requests are counted")
    assert {scrape(cluster)[key] for _ in range(12)} == {before + 200}


def test_processes_of_every_kind_tell_of_themselves(cluster: Cluster) -> None:
    expected = {"controller": 3, "worker": 1, "clock": 1}
    eventually(
        lambda: {role: scrape(cluster)["faas_processes", ("role", role)] for role in expected} == expected,
        "each process is counted once",
    )
    found = scrape(cluster)
    assert found["faas_worker_attempts_limit",] == 12
    assert found["faas_sandbox_memory_limit_bytes",] == 256 * 2**20
    assert found["faas_process_cpu_seconds_total", ("role", "worker")] > 0
    assert found["faas_reconciler_rounds_total",] > 0


def test_a_redis_that_hangs_is_said_in_time(cluster: Cluster) -> None:
    eventually(lambda: scrape(cluster)["faas_broker_up",] == 1, "all is well")
    with stopped(cluster.pid("redis")):
        answer = cluster.call("GET", "/metrics", timeout=30)
    assert "faas_broker_up 0.0" in answer.text
    assert "faas_database_up 1.0" in answer.text


def test_what_a_worker_did_stays_when_it_is_killed_and_what_it_has_goes(cluster: Cluster) -> None:
    function = cluster.deploy()
    key = ("faas_attempts_total", ("result", "succeeded"))
    before = scrape(cluster)[key]
    parallel(lambda _: cluster.invoke(function, {}), range(10))
    eventually(lambda: scrape(cluster)[key] == before + 10, "all attempts are counted")
    assert scrape(cluster)["faas_sandboxes", ("state", "idle")] > 0
    cluster.kill("worker1")

    def gone() -> bool:
        found = scrape(cluster)
        return (found["faas_processes", ("role", "worker")], found["faas_sandboxes", ("state", "idle")]) == (0, 0)

    eventually(gone, "the gauges of the worker are gone")
    assert scrape(cluster)[key] == before + 10
