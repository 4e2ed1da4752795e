"""What Docker refuses or does not answer costs time, and nothing that was accepted: on a daemon of the suite's own."""

from __future__ import annotations

import signal
from contextlib import AbstractContextManager

import pytest
from e2e.cluster import eventually

from faults import history, rounds
from faults.dockerd import Dockerd
from faults.platform import Platform

pytestmark = [pytest.mark.timeout(600), pytest.mark.container]

_AT_ONCE = 6


@pytest.fixture
def daemon(in_containers: Platform) -> Dockerd:
    """The daemon."""
    if in_containers.daemon is None:
        pytest.skip("needs a Docker daemon of the suite's own (root, and a machine that can run a second one)")
    return in_containers.daemon


@pytest.mark.parametrize("what", ["image", "start"])
def test_what_can_not_be_made_is_tried_again_until_it_can(in_containers: Platform, daemon: Dockerd, what: str) -> None:
    function = in_containers.deploy(max_concurrency=_AT_ONCE, timeout="60s")
    client = in_containers.docker()
    try:
        broken: AbstractContextManager[None] = daemon.no_image(client) if what == "image" else daemon.no_start()
        with broken:
            # Who has just begun has none in stock.
            for worker in in_containers.workers:
                in_containers.end(worker, signal.SIGTERM)
                in_containers.come_back(worker)
            ids = in_containers.submit_all(function, [{"sleep": 2, "token": n} for n in range(_AT_ONCE)])
            failed = "SELECT 1 FROM attempts WHERE invocation_id = ANY (%s::uuid[]) AND error_type LIKE 'Platform.%%'"
            eventually(lambda: in_containers.sql(failed, ids), "one could not be started")
    finally:
        client.close()
    records = in_containers.wait_all(ids)
    assert [(record["status"], record["result"]["token"]) for record in records] == [
        ("succeeded", n) for n in range(_AT_ONCE)
    ]
    stories = history.by_invocation(history.read(in_containers))
    assert {history.terminal_writes(stories[one]) for one in ids} == {1}
    assert in_containers.ended_by_themselves() == []
    # What was made and never started is gone too.
    assert rounds.leaked(in_containers) == []


def test_warm_calls_do_not_need_docker_and_cold_ones_wait_for_it(in_containers: Platform, daemon: Dockerd) -> None:
    function = in_containers.deploy(max_concurrency=2 * _AT_ONCE, timeout="60s")
    warm = in_containers.invoke(function)
    in_containers.pause("dockerd", signal.SIGSTOP)
    try:
        calls = in_containers.submit_all(function, [{"sleep": 2, "token": n} for n in range(2 * _AT_ONCE)])
        eventually(lambda: any(in_containers.record(one)["status"] == "succeeded" for one in calls), "a warm one ends")
    finally:
        in_containers.pause("dockerd", signal.SIGCONT)
    records = in_containers.wait_all(calls)
    assert warm["status"] == "succeeded"
    assert [(record["status"], record["result"]["token"]) for record in records] == [
        ("succeeded", n) for n in range(2 * _AT_ONCE)
    ]
    assert rounds.leaked(in_containers) == []
