"""Later, expired, together, again: on a running platform."""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime

import pytest

from e2e.cluster import WITH_ONE_ENGINE, Cluster

pytestmark = [pytest.mark.timeout(400), WITH_ONE_ENGINE]


def invoke(cluster: Cluster, function: str, **fields: object) -> dict[str, object]:
    answer = cluster.call("POST", "/invoke", json={"function_id": function, "payload": {}, **fields})
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def test_a_delayed_invocation_runs_at_its_time_whatever_is_restarted(cluster: Cluster) -> None:
    function = cluster.deploy()
    made = invoke(cluster, function, delay="4s")
    for name in cluster.clocks + cluster.workers:
        cluster.kill(name)
    cluster.settle()
    record = cluster.wait(str(made["id"]))
    assert record["status"] == "succeeded"
    assert record["started_at"] >= record["run_at"]
    assert (
        record["queue_ms"]
        < (datetime.fromisoformat(record["started_at"]) - datetime.fromisoformat(record["created_at"])).total_seconds()
        * 1000
        - 3500
    )


def test_what_is_not_started_in_time_ends_cancelled_and_never_runs(cluster: Cluster) -> None:
    function = cluster.deploy(max_concurrency=1)
    blocker = cluster.submit(function, {"sleep": 28})
    cluster.running(blocker)
    late = [str(invoke(cluster, function, expires_in="1s")["id"]) for _ in range(20)]
    patient = invoke(cluster, function, expires_in="1h")
    ends = cluster.wait_all(late)
    assert {(record["status"], record["error"]["type"], record["attempts"]) for record in ends} == {
        ("cancelled", "Platform.Expired", 0)
    }
    assert cluster.record(blocker)["status"] == "running"
    assert cluster.cancel(blocker) == 202
    assert cluster.wait(str(patient["id"]))["status"] == "succeeded"


def test_a_batch_of_several_functions_runs_within_their_limits(cluster: Cluster) -> None:
    functions = [cluster.deploy(max_concurrency=n) for n in (1, 4)]
    items = [{"function_id": functions[n % 2], "payload": {"token": n}} for n in range(60)]
    answer = cluster.call(
        "POST", "/invoke/batch", json={"items": items}, headers={"Idempotency-Key": f"b-{time.time()}"}
    )
    assert answer.status_code == 202, answer.text
    records = cluster.wait_all(answer.json()["invocation_ids"])
    assert [(record["status"], record["result"]["token"]) for record in records] == [
        ("succeeded", n) for n in range(60)
    ]
    page = cluster.call("GET", answer.headers["Location"] + "&limit=7").json()
    assert (len(page["items"]), page["counts"]["succeeded"], sum(page["counts"].values())) == (7, 60, 60)


def test_a_failed_one_is_run_again_and_its_story_tells_why(cluster: Cluster) -> None:
    function = cluster.deploy(retry={"max_attempts": 2, "backoff": "100ms"})
    until = time.time() + 3600
    first = cluster.invoke(function, {"fails_until": until})
    assert (first["status"], first["attempts"]) == ("failed", 2)
    events = cluster.call("GET", f"/invocations/{first['id']}/events").json()["events"]
    told = Counter(event["type"] for event in events)
    assert (told["claimed"], told["retried"], told["ended"]) == (2, 1, 1)
    assert [event["time"] for event in events] == sorted(event["time"] for event in events)
    answer = cluster.call("POST", f"/invocations/{first['id']}/replay")
    assert answer.status_code == 202, answer.text
    again = cluster.wait(answer.json()["id"])
    assert (again["replay_of"], again["payload"], again["status"]) == (first["id"], {"fails_until": until}, "failed")


def test_why_it_is_queued_is_told_while_it_is(cluster: Cluster) -> None:
    function = cluster.deploy(max_concurrency=1)
    blocker = cluster.submit(function, {"sleep": 28})
    cluster.running(blocker)
    waiting = [cluster.submit(function) for _ in range(3)]
    reasons = [cluster.call("GET", f"/invocations/{one}/events").json()["waiting_for"] for one in waiting]
    assert reasons == [{"reason": "concurrency", "limit": 1, "used": 1, "position": n} for n in (1, 2, 3)]
    assert cluster.cancel(blocker) == 202
    assert {record["status"] for record in cluster.wait_all(waiting)} == {"succeeded"}
