"""Single faults, each at its worst moment: what was accepted is found, ends, and ends once."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from e2e.cluster import TERMINAL, eventually, parallel, worker_name

from faas.queueing import names
from faults import history, rounds
from faults.platform import Platform
from faults.proxy import DOWN, UP

pytestmark = pytest.mark.timeout(600)

# Says that it has done its work, by a file, before its result is written down.
MARKING = """
import pathlib, time

def handler(event, context):
    time.sleep(event.get("sleep", 0))
    pathlib.Path(event["mark"]).open("a").write("done\\n")
    return "result of " + event["mark"]
"""


def ended_once(cluster: Platform, ids: list[str]) -> bool:
    """Whether each has ended by one write, by legal steps alone."""
    stories = history.by_invocation(history.read(cluster))
    assert not [wrong for one in ids for wrong in history.illegal(stories[one])]
    return {history.terminal_writes(stories[one]) for one in ids} == {1}


def quiet(cluster: Platform) -> None:
    """Nothing may be left over."""
    assert rounds.leaked(cluster) == []


def submitting(cluster: Platform, function: str, stop: threading.Event, threads: int = 4) -> Callable[[], list[str]]:
    """Submit from threads until `stop`, whatever comes; the result waits for them and gives what was accepted."""
    accepted: list[str] = []

    def submit(controller: str) -> None:
        while not stop.is_set():
            try:
                answer = cluster.call(
                    "POST", "/invoke", controller=controller, json={"function_id": function, "payload": {}}
                )
            except requests.RequestException:
                continue
            if answer.status_code == 202:
                accepted.append(answer.json()["id"])
            else:
                assert answer.status_code == 503, answer.text
                time.sleep(0.05)

    pool = ThreadPoolExecutor(threads)
    running = [
        pool.submit(submit, one) for one, _ in zip(itertools.cycle(cluster.controllers), range(threads), strict=False)
    ]

    def gather() -> list[str]:
        with pool:
            for one in running:
                one.result()
        return accepted

    return gather


def test_ten_kills_of_a_worker_under_three_hundred_lose_nothing(cluster: Platform) -> None:
    function = cluster.deploy(max_concurrency=20)
    ids = cluster.submit_all(function, [{"sleep": 0.5, "token": n} for n in range(300)])
    killed: set[str] = set()
    for _ in range(10):
        # Whoever has something to do at the moment, and was not killed yet.
        at_work = eventually(lambda: cluster.at_work() - killed, "a living worker has something to do")
        victim = min(at_work)
        cluster.end(worker_name(victim), signal.SIGKILL)
        killed.add(victim)
        cluster.come_back(worker_name(victim))
    records = cluster.wait_all(ids)
    assert [(record["status"], record["result"]["token"]) for record in records] == [
        ("succeeded", n) for n in range(300)
    ]
    assert ended_once(cluster, ids)
    assert not history.over_limit(history.read(cluster), {function: 20})
    # They did die at work: something of theirs was lost, and run by others.
    lost = cluster.sql("SELECT DISTINCT worker_id FROM attempts WHERE invocation_id = ANY (%s::uuid[])", ids)
    assert {worker for (worker,) in lost} & killed
    quiet(cluster)


def test_a_redis_that_comes_back_empty_with_two_hundred_queued_loses_nothing(cluster: Platform) -> None:
    function = cluster.deploy(max_concurrency=200)
    for worker in cluster.workers:
        cluster.end(worker, signal.SIGKILL)
    ids = cluster.submit_all(function, [{"token": n} for n in range(200)])
    # The pop of a dead worker may still take one.
    assert cluster.backlog() > 190
    cluster.end("redis", signal.SIGKILL)
    cluster.come_back("redis")
    for worker in cluster.workers:
        cluster.come_back(worker)
    records = cluster.wait_all(ids)
    assert [(record["status"], record["result"]["token"]) for record in records] == [
        ("succeeded", n) for n in range(200)
    ]
    assert ended_once(cluster, ids)


def test_a_redis_that_comes_back_with_an_old_state_loses_nothing_and_starts_nothing_twice(cluster: Platform) -> None:
    function = cluster.deploy(max_concurrency=200)
    file = cluster.root / "redis" / "dump.rdb"
    for worker in cluster.workers:
        cluster.end(worker, signal.SIGKILL)
    old = cluster.submit_all(function, [{"token": n} for n in range(50)])
    with cluster.redis() as client:
        client.save()
    for worker in cluster.workers:
        cluster.come_back(worker)
    before = cluster.wait_all(old)
    for worker in cluster.workers:
        cluster.end(worker, signal.SIGKILL)
    new = cluster.submit_all(function, [{"token": n} for n in range(50, 100)])
    cluster.end("redis", signal.SIGKILL)
    try:
        # Its file has the messages of those that have ended (but what the pop of a dead worker still took), and none of those that wait.
        cluster.come_back("redis")
        assert cluster.backlog() > 40
    finally:
        file.unlink()
    for worker in cluster.workers:
        cluster.come_back(worker)
    records = cluster.wait_all(old + new)
    assert [(record["status"], record["result"]["token"]) for record in records] == [
        ("succeeded", n) for n in range(100)
    ]
    # The old messages have started nothing.
    assert records[:50] == before
    assert ended_once(cluster, old + new)


def test_three_hundred_messages_that_die_with_who_took_them_are_sent_again(cluster: Platform) -> None:
    function = cluster.deploy(max_concurrency=400)
    for worker in cluster.workers:
        cluster.end(worker, signal.SIGKILL)
    ids = cluster.submit_all(function, [{"token": n} for n in range(300)])
    with cluster.redis() as client:
        # Between here and its claim a message is in nobody's hands but those of who took it.
        taken = client.rpop(names.QUEUE, 1000)
        assert isinstance(taken, list)
        assert len(taken) >= 300
    for worker in cluster.workers:
        cluster.come_back(worker)
    records = cluster.wait_all(ids)
    assert [(record["status"], record["attempts"], record["result"]["token"]) for record in records] == [
        ("succeeded", 1, n) for n in range(300)
    ]
    assert ended_once(cluster, ids)


def test_workers_that_are_started_while_redis_is_full_wait_for_it(cluster: Platform) -> None:
    function = cluster.deploy()
    for worker in cluster.workers:
        cluster.end(worker, signal.SIGKILL)
    with cluster.redis() as client:
        limit = client.config_get("maxmemory")["maxmemory"]
        client.config_set("maxmemory", "1")
        try:
            for worker in cluster.workers:
                cluster.come_back(worker)
            invocation = cluster.submit(function, {"token": "full"})
            eventually(
                lambda: all(
                    "OutOfMemory" in cluster.log(worker) or "maxmemory" in cluster.log(worker)
                    for worker in cluster.workers
                ),
                "every worker has met it",
            )
            time.sleep(3)
            assert cluster.ended_by_themselves() == []
        finally:
            client.config_set("maxmemory", limit)
    assert cluster.wait(invocation)["result"]["token"] == "full"
    assert ended_once(cluster, [invocation])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
def test_a_postgresql_that_is_restarted_under_load_takes_no_promise_with_it(
    cluster: Platform, number: signal.Signals
) -> None:
    function = cluster.deploy(max_concurrency=10)
    stop = threading.Event()
    gather = submitting(cluster, function, stop)
    try:
        for _ in range(2):
            time.sleep(1)
            cluster.end("postgres", number)
            time.sleep(0.3)
            cluster.come_back("postgres")
        time.sleep(1)
    finally:
        stop.set()
        accepted = gather()
    assert accepted
    records = cluster.wait_all(accepted)
    assert Counter(record["status"] for record in records) == {"succeeded": len(accepted)}
    # Those whose answer was lost have ended too.
    eventually(
        lambda: not cluster.sql("SELECT 1 FROM invocations WHERE status IN ('queued', 'running')"), "all have ended"
    )
    assert ended_once(
        cluster, [str(one) for (one,) in cluster.sql("SELECT id FROM invocations WHERE function_id = %s", function)]
    )
    quiet(cluster)


def test_a_web_process_that_is_killed_during_submits_makes_one_invocation_a_key(cluster: Platform) -> None:
    function = cluster.deploy(max_concurrency=10)
    killer = iter(range(10**6))

    def submit(n: int) -> str:
        while True:
            if next(killer) % 15 == 14 and (pid := cluster.web_process("controller2")):
                os.kill(pid, signal.SIGKILL)
            try:
                answer = cluster.call(
                    "POST",
                    "/invoke",
                    controller="controller2",
                    json={"function_id": function, "payload": {"token": n}},
                    headers={"Idempotency-Key": f"{function} {n}"},
                )
            except requests.RequestException:
                time.sleep(0.1)
                continue
            assert answer.status_code == 202, answer.text
            return str(answer.json()["id"])

    ids = parallel(submit, range(80))
    records = cluster.wait_all(ids)
    assert [(record["status"], record["result"]["token"]) for record in records] == [
        ("succeeded", n) for n in range(80)
    ]
    # However many were cut off and sent again.
    assert cluster.sql("SELECT count(*) FROM invocations WHERE function_id = %s", function) == [(80,)]
    assert ended_once(cluster, ids)


def test_a_worker_that_dies_between_a_function_s_end_and_its_record_has_it_run_again(
    cluster: Platform, tmp_path: Path
) -> None:
    function = cluster.deploy(MARKING)
    mark = tmp_path / "mark"
    invocation = cluster.submit(function, {"sleep": 1, "mark": f"{mark}"})
    worker = cluster.running(invocation)
    link = cluster.links[f"{worker}-postgres"]
    link.stall_at(UP, f"result of {mark}".encode())
    eventually(lambda: link.held(UP), "the end is on its way")
    assert mark.read_text() == "done\n"
    cluster.end(worker, signal.SIGKILL)
    link.reset()
    link.heal()
    cluster.come_back(worker)
    record = cluster.wait(invocation)
    assert (record["status"], record["attempts"]) == ("succeeded", 2)
    assert [(number, error) for number, _, error, _ in cluster.attempts(invocation)] == [(1, "Platform.WorkerLost")]
    assert mark.read_text() == "done\ndone\n"
    assert ended_once(cluster, [invocation])
    quiet(cluster)


def test_a_worker_that_is_cut_off_from_postgresql_alone_can_not_write_over_its_successor(
    cluster: Platform, tmp_path: Path
) -> None:
    function = cluster.deploy(MARKING)
    mark = tmp_path / "mark"
    invocation = cluster.submit(function, {"sleep": 1, "mark": f"{mark}"})
    worker = cluster.running(invocation)
    (owner,) = (name for name in cluster.at_work() if worker_name(name) == worker)
    link = cluster.links[f"{worker}-postgres"]
    link.stall_at(UP, f"result of {mark}".encode())
    try:
        # It has done its work, and its word hangs on the way; so do its signs of life.
        eventually(lambda: link.held(UP), "the end is on its way")
        record = cluster.wait(invocation)
        assert (record["status"], record["attempts"]) == ("succeeded", 2)
        assert record["worker_id"] != owner
    finally:
        link.heal()
    # Now what it said arrives.
    eventually(lambda: worker in {worker_name(name) for name in cluster.incarnations()}, "the worker is known again")
    cluster.settle()
    time.sleep(1)
    assert cluster.record(invocation) == record
    assert cluster.attempts(invocation) == [(1, "failed", "Platform.WorkerLost", owner)]
    assert mark.read_text() == "done\ndone\n"
    assert ended_once(cluster, [invocation])
    quiet(cluster)


def test_an_end_that_is_written_and_whose_answer_is_lost_is_not_written_again(
    cluster: Platform, tmp_path: Path
) -> None:
    function = cluster.deploy(MARKING)
    mark = tmp_path / "mark"
    invocation = cluster.submit(function, {"sleep": 1, "mark": f"{mark}"})
    link = cluster.links[f"{cluster.running(invocation)}-postgres"]
    link.stall_at(UP, f"result of {mark}".encode())
    try:
        eventually(lambda: link.held(UP), "the end is on its way")
        link.stall(DOWN)
        eventually(lambda: cluster.record(invocation)["status"] in TERMINAL, "the end is written")
    finally:
        link.reset()
        link.heal()
    record = cluster.record(invocation)
    assert (record["status"], record["attempts"]) == ("succeeded", 1)
    cluster.settle()
    # Its worker has asked again by now, or does so soon; either way the record stays.
    later = cluster.invoke(function, {"mark": f"{mark}"})
    assert later["status"] == "succeeded"
    assert cluster.record(invocation) == record
    assert ended_once(cluster, [invocation, later["id"]])


def test_a_submit_whose_answer_is_lost_on_the_way_from_postgresql_is_one_invocation_when_it_is_sent_again(
    cluster: Platform,
) -> None:
    function = cluster.deploy()
    link = cluster.links["controller1-postgres"]
    body = {"function_id": function, "payload": {"token": "x"}}

    def submit(controller: str) -> requests.Response:
        return cluster.call(
            "POST", "/invoke", controller=controller, json=body, headers={"Idempotency-Key": f"lost {function}"}
        )

    link.stall(DOWN)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(submit, "controller1")
        eventually(lambda: cluster.sql("SELECT 1 FROM invocations WHERE function_id = %s", function), "it is accepted")
        link.reset()
        link.heal()
        assert first.result().status_code == 503
    again = submit("controller2")
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (202, "true")
    assert cluster.wait(again.json()["id"])["result"]["token"] == "x"
    assert cluster.sql("SELECT count(*) FROM invocations WHERE function_id = %s", function) == [(1,)]
