"""What the platform survives: every accepted invocation ends once, whatever is killed, stopped, wiped or restarted, and nothing is left over."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
import requests

from e2e.cluster import PLATFORM_RETRIES, WITH_ONE_ENGINE, Cluster, eventually, parallel

pytestmark = pytest.mark.timeout(400)


def incarnation(cluster: Cluster, name: str) -> str:
    return str(cluster.sql("SELECT id FROM workers WHERE name = %s", name)[0][0])


def test_a_wiped_redis_loses_nothing(cluster: Cluster) -> None:
    function = cluster.deploy(max_concurrency=60)
    for worker in cluster.workers:
        cluster.kill(worker, signal.SIGSTOP)
    try:
        ids = cluster.submit_all(function, [{"token": n} for n in range(100)])
        assert cluster.backlog() > 50
        cluster.flush_redis()
    finally:
        for worker in cluster.workers:
            cluster.kill(worker, signal.SIGCONT)
    records = cluster.wait_all(ids)
    assert [(record["status"], record["result"]["token"]) for record in records] == [
        ("succeeded", n) for n in range(100)
    ]


def test_what_is_accepted_while_redis_is_away_runs_when_it_is_back(cluster: Cluster) -> None:
    function = cluster.deploy(max_concurrency=5)
    before = cluster.submit_all(function, [{"sleep": 0.5, "token": n} for n in range(20)])
    cluster.kill("redis")
    during = cluster.submit_all(function, [{"token": n} for n in range(20, 30)])
    assert cluster.call("GET", "/health").status_code == 503
    pids = [cluster.pid(name) for name in cluster.workers]
    cluster.begin("redis")
    records = cluster.wait_all(before + during)
    assert [(record["status"], record["result"]["token"]) for record in records] == [
        ("succeeded", n) for n in range(30)
    ]
    # The same workers did it: none of them needs to be started again.
    assert [cluster.pid(name) for name in cluster.workers] == pids
    eventually(lambda: cluster.call("GET", "/health").status_code == 200, "the platform is healthy again")


@WITH_ONE_ENGINE
def test_a_redis_that_hangs_does_not_hold_up_an_answer_for_long(cluster: Cluster) -> None:
    function = cluster.deploy()
    cluster.kill("redis", signal.SIGSTOP)
    try:
        invocation = cluster.submit(function)
    finally:
        cluster.kill("redis", signal.SIGCONT)
    assert cluster.wait(invocation)["status"] == "succeeded"


def test_a_killed_worker_s_invocation_is_run_by_another_and_its_sandbox_is_gone(cluster: Cluster) -> None:
    function = cluster.deploy()
    invocation = cluster.submit(function, {"sleep": 4})
    killed = cluster.running(invocation)
    owner = incarnation(cluster, killed)
    eventually(lambda: owner in cluster.sandbox_owners(), "it has a sandbox")
    cluster.kill(killed)
    record = cluster.wait(invocation)
    assert (record["status"], record["attempts"]) == ("succeeded", 2)
    assert record["worker_id"] != owner
    assert cluster.attempts(invocation) == [(1, "failed", "Platform.WorkerLost", owner)]
    # The other worker on this host clears away; the killed one is not started again before.
    eventually(lambda: owner not in cluster.sandbox_owners(), "nothing of the killed worker is left")
    eventually(lambda: not [words for words in cluster.processes() if owner in words], "no process of it is left")


@WITH_ONE_ENGINE
def test_an_invocation_that_loses_its_worker_every_time_ends_failed(cluster: Cluster) -> None:
    function = cluster.deploy()
    invocation = cluster.submit(function, {"sleep": 300})
    for attempt in range(1, PLATFORM_RETRIES + 2):
        killed = cluster.running(invocation, attempt)
        cluster.kill(killed)
        cluster.begin(killed)
    record = cluster.wait(invocation)
    assert (record["status"], record["error"]["type"], record["attempts"]) == (
        "failed",
        "Platform.WorkerLost",
        PLATFORM_RETRIES + 1,
    )
    assert len(cluster.attempts(invocation)) == PLATFORM_RETRIES
    # The next, healthy call of the function runs.
    assert cluster.invoke(function)["status"] == "succeeded"


def test_a_worker_that_sleeps_past_its_lease_can_not_write_over_the_end(cluster: Cluster) -> None:
    function = cluster.deploy()
    invocation = cluster.submit(function, {"sleep": 3})
    stopped = cluster.running(invocation)
    owner = incarnation(cluster, stopped)
    cluster.kill(stopped, signal.SIGSTOP)
    try:
        record = cluster.wait(invocation)
        # What was sent to the one that sleeps is not lost either.
        others = cluster.wait_all(cluster.submit_all(function, [{"token": n} for n in range(6)]))
    finally:
        cluster.kill(stopped, signal.SIGCONT)
    assert (record["status"], record["attempts"]) == ("succeeded", 2)
    assert record["worker_id"] != owner
    assert [one["status"] for one in others] == ["succeeded"] * 6
    eventually(lambda: cluster.sql("SELECT 1 FROM workers WHERE id = %s", owner), "the worker is known again")
    # By then its function had ended long ago, and the late result lay before the worker.
    time.sleep(1)
    assert cluster.record(invocation) == record
    assert cluster.attempts(invocation) == [(1, "failed", "Platform.WorkerLost", owner)]
    # What stood ready in it was cleared away by the other, and is not given to anybody.
    for other in set(cluster.workers) - {stopped}:
        cluster.kill(other, signal.SIGTERM)
    later = cluster.invoke(function)
    assert (later["status"], later["attempts"], later["worker_id"]) == ("succeeded", 1, owner)
    assert cluster.sql("SELECT used FROM slots WHERE function_id = %s", function) == [(0,)]


def test_a_worker_that_is_told_to_stop_hands_back_what_it_can_not_finish(cluster: Cluster) -> None:
    function = cluster.deploy(timeout="10m", max_concurrency=10)
    ids = cluster.submit_all(function, [{"sleep": 500}] * 6)
    had = {one: cluster.running(one) for one in ids}
    told = had[ids[0]]
    owner = incarnation(cluster, told)
    cluster.kill(told, signal.SIGTERM)
    assert not cluster.sql("SELECT 1 FROM workers WHERE id = %s", owner)
    assert owner not in cluster.sandbox_owners()
    for one in ids:
        # The other one has them all, and began anew with those that are handed back. Nobody waited for a lease.
        attempt = 2 if had[one] == told else 1
        assert cluster.running(one, attempt) != told
        assert cluster.attempts(one) == [(1, "handed_back", None, owner)][: attempt - 1]
        # It costs the function no attempt of its own.
        assert cluster.record(one)["max_attempts"] == attempt
        assert cluster.cancel(one) == 202
    assert {record["status"] for record in cluster.wait_all(ids)} == {"cancelled"}


def test_a_worker_that_is_told_to_stop_finishes_what_is_short(cluster: Cluster) -> None:
    function = cluster.deploy()
    invocation = cluster.submit(function, {"sleep": 0.5})
    cluster.kill(cluster.claimed(invocation), signal.SIGTERM)
    assert cluster.wait(invocation)["status"] == "succeeded"


@WITH_ONE_ENGINE
def test_work_goes_on_without_a_clock_and_what_needs_one_waits_for_it(cluster: Cluster) -> None:
    function = cluster.deploy(retry={"max_attempts": 3, "backoff": "100ms", "max_backoff": "100ms"})
    for clock in cluster.clocks:
        cluster.kill(clock)
    assert cluster.invoke(function)["status"] == "succeeded"
    waiting = cluster.submit(function, {"fails_until": time.time() + 3600})
    eventually(lambda: cluster.attempts(waiting), "the first attempt has failed")
    for clock in cluster.clocks:
        cluster.begin(clock)
    record = cluster.wait(waiting)
    assert (record["status"], record["attempts"]) == ("failed", 3)


@WITH_ONE_ENGINE
def test_two_clocks_at_once_start_every_attempt_once(cluster: Cluster) -> None:
    function = cluster.deploy(max_concurrency=5, retry={"max_attempts": 3, "backoff": "100ms", "max_backoff": "200ms"})
    ids = cluster.submit_all(function, [{"fails_until": time.time() + 3600}] * 40)
    records = cluster.wait_all(ids)
    assert Counter((record["status"], record["attempts"]) for record in records) == {("failed", 3): 40}
    counts = cluster.sql(
        "SELECT count(*), max(number) FROM attempts WHERE invocation_id = ANY (%s::uuid[]) GROUP BY invocation_id", ids
    )
    assert counts == [(2, 2)] * 40


@WITH_ONE_ENGINE
def test_postgresql_restarted_nothing_false_is_promised_and_all_goes_on_by_itself(cluster: Cluster) -> None:
    function = cluster.deploy(max_concurrency=5)
    accepted = cluster.submit_all(function, [{"sleep": 1, "token": n} for n in range(20)])
    cluster.claimed(accepted[0])
    parts = [*cluster.workers, *cluster.clocks, "controller1", "controller2"]
    pids = [cluster.pid(name) for name in parts]
    cluster.kill("postgres", signal.SIGINT)
    answers = [
        cluster.call("POST", "/invoke", controller=f"controller{n % 2 + 1}", json={"function_id": function})
        for n in range(4)
    ]
    for answer in answers:
        assert answer.status_code == 503, answer.text
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert int(answer.headers["Retry-After"]) > 0
    health = cluster.call("GET", "/health")
    assert (health.status_code, health.json()["status"]) == (503, "degraded")
    assert cluster.call("GET", "/health/live").status_code == 200
    cluster.begin("postgres")
    eventually(lambda: cluster.call("GET", "/health").status_code == 200, "the platform is healthy again")
    records = cluster.wait_all(accepted)
    assert [(record["status"], record["result"]["token"]) for record in records] == [
        ("succeeded", n) for n in range(20)
    ]
    # What was refused has left nothing behind, and no part had to be started again.
    assert cluster.sql("SELECT count(*) FROM invocations WHERE function_id = %s", function) == [(20,)]
    assert cluster.invoke(function)["status"] == "succeeded"
    assert [cluster.pid(name) for name in parts] == pids
    assert all(Path(f"/proc/{pid}").exists() for pid in pids)


@WITH_ONE_ENGINE
def test_a_killed_controller_breaks_no_promise_that_it_made(cluster: Cluster) -> None:
    function = cluster.deploy(max_concurrency=10)
    (process,) = _children(cluster.pid("controller2"))
    accepted: list[str] = []

    def submit(n: int) -> None:
        if n == 60:
            os.kill(process, signal.SIGKILL)
        try:
            answer = cluster.call(
                "POST", "/invoke", controller="controller2", json={"function_id": function, "payload": {"token": n}}
            )
        except requests.RequestException:
            return
        if answer.status_code == 202:
            accepted.append(answer.json()["id"])

    parallel(submit, range(120))
    assert accepted
    assert {record["status"] for record in cluster.wait_all(accepted)} == {"succeeded"}
    # Those whose answer was cut off end too.
    left = "SELECT 1 FROM invocations WHERE function_id = %s AND status IN ('queued', 'running')"
    eventually(lambda: not cluster.sql(left, function), "all of them have ended")


def test_a_function_that_kills_its_sandbox_every_time_costs_nobody_else_anything(cluster: Cluster) -> None:
    killer = cluster.deploy(
        "import os, signal\n\ndef handler(event, context):\n    os.kill(os.getpid(), signal.SIGKILL)\n    os._exit(1)\n"
    )
    healthy = cluster.deploy()
    ids = cluster.submit_all(killer, [None] * 10)
    assert cluster.invoke(healthy)["status"] == "succeeded"
    records = cluster.wait_all(ids)
    assert Counter((record["status"], record["error"]["type"], record["attempts"]) for record in records) == {
        ("failed", "Function.ExitError", 1): 10
    }


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
