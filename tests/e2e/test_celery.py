"""The platform as any Celery application meets it: results, ordinary messages, remote control, the worker's ends by signal."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from e2e.cluster import PATIENCE, WITH_ONE_ENGINE, Cluster, eventually

pytestmark = pytest.mark.timeout(400)

# A process that knows the two addresses and nothing else of the platform. Celery finds the result backend by its name.
BARE = """
import json, sys
from celery import Celery
from celery.result import AsyncResult

broker, backend, invocation, seconds = sys.argv[1:]
app = Celery("bare", broker=broker, backend=backend)
result = AsyncResult(invocation, app=app)
try:
    said = {"value": result.get(timeout=float(seconds))}
except Exception as error:
    said = {"raised": type(error).__name__, "message": str(error)}
print(json.dumps({**said, "state": result.state, "ready": result.ready()}))
"""


def bare(cluster: Cluster, invocation: str) -> dict[str, Any]:
    """What a bare application in a process of its own gets for an invocation."""
    arguments = (cluster.redis_url, f"faas+{cluster.database_url}", invocation, f"{PATIENCE}")
    done = subprocess.run(
        (sys.executable, "-c", BARE, *arguments), capture_output=True, text=True, timeout=2 * PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture
def app(cluster: Cluster) -> Iterator[Celery]:
    """A bare application in this process, for messages and remote control."""
    made = Celery("bare", broker=cluster.redis_url, set_as_current=False)
    made.conf.task_default_queue = "faas"
    yield made
    made.close()


def test_a_bare_application_gets_the_result_of_an_invocation(cluster: Cluster) -> None:
    # It waits for the end, as the invocation still runs then.
    invocation = cluster.submit(cluster.deploy(), {"sleep": 2, "token": ["ä", 1, None]})
    said = bare(cluster, invocation)
    assert said["value"]["token"] == ["ä", 1, None]
    assert (said["state"], said["ready"]) == ("SUCCESS", True)


@WITH_ONE_ENGINE
def test_a_bare_application_gets_a_failure_raised(cluster: Cluster) -> None:
    invocation = cluster.submit(cluster.deploy('def handler(event, context):\n    raise KeyError("no such thing")\n'))
    said = bare(cluster, invocation)
    assert (said["raised"], said["state"]) == ("InvocationFailed", "FAILURE")
    assert "KeyError" in said["message"]
    assert "no such thing" in said["message"]


@WITH_ONE_ENGINE
def test_a_bare_application_sees_that_an_invocation_was_cancelled(cluster: Cluster) -> None:
    invocation = cluster.submit(cluster.deploy(timeout="10m"), {"sleep": 500})
    cluster.running(invocation)
    assert cluster.cancel(invocation) == 202
    cluster.wait(invocation)
    said = bare(cluster, invocation)
    assert (said["raised"], said["state"]) == ("InvocationCancelled", "REVOKED")


@WITH_ONE_ENGINE
def test_a_message_that_comes_again_does_no_harm(cluster: Cluster, app: Celery) -> None:
    function = cluster.deploy(max_concurrency=1)
    ids = cluster.submit_all(function, [{"sleep": 1, "token": n} for n in range(3)], threads=1)
    for one in ids * 3:
        app.send_task("faas.invoke", [one], task_id=one)
    records = cluster.wait_all(ids)
    assert [(record["status"], record["attempts"], record["result"]["token"]) for record in records] == [
        ("succeeded", 1, n) for n in range(3)
    ]
    for one in ids:
        app.send_task("faas.invoke", [one], task_id=one)
    # Behind these messages: when it has run, they were looked at.
    assert cluster.invoke(function)["status"] == "succeeded"
    assert [cluster.record(one) for one in ids] == records


@WITH_ONE_ENGINE
def test_an_ordinary_message_is_as_good_as_the_platform_s_own(cluster: Cluster, app: Celery) -> None:
    function = cluster.deploy()
    for clock in cluster.clocks:
        cluster.kill(clock)
    cluster.kill("redis")
    invocation = cluster.submit(function)
    cluster.begin("redis")
    # Nobody else publishes it: the clocks are away.
    app.send_task("faas.invoke", [invocation], task_id=invocation)
    assert cluster.wait(invocation)["status"] == "succeeded"


@WITH_ONE_ENGINE
def test_messages_that_make_no_sense_hurt_nobody(cluster: Cluster, app: Celery) -> None:
    function = cluster.deploy()
    app.send_task("faas.invoke", ["not an id"])
    app.send_task("faas.invoke", ["01900000-0000-7000-8000-000000000000"])
    app.send_task("faas.invoke", [])
    app.send_task("faas.build", [None, "x"])
    app.send_task("no.such.task", [1])
    pids = [cluster.pid(worker) for worker in cluster.workers]
    assert [cluster.invoke(function)["status"] for _ in range(3)] == ["succeeded"] * 3
    cluster.settle()
    assert [cluster.pid(worker) for worker in cluster.workers] == pids


@WITH_ONE_ENGINE
def test_every_worker_answers_a_ping(cluster: Cluster, app: Celery) -> None:
    eventually(lambda: len(app.control.inspect(timeout=3).ping() or {}) == len(cluster.workers), "every worker answers")


def test_remote_control_shuts_the_workers_down(cluster: Cluster, app: Celery) -> None:
    function = cluster.deploy()
    invocation = cluster.submit(function, {"sleep": 0.5, "token": "kept"})
    cluster.claimed(invocation)
    app.control.shutdown()
    for worker in cluster.workers:
        assert cluster.await_end(worker) == 0
    assert cluster.known_workers() == set()
    assert cluster.sandbox_owners() == set()
    waiting = cluster.submit(function)
    assert cluster.call("GET", "/health").status_code == 503
    cluster.settle()
    assert cluster.wait(invocation)["result"]["token"] == "kept"
    assert cluster.wait(waiting)["status"] == "succeeded"


def test_sigterm_ends_a_worker_with_status_zero_and_nothing_left(cluster: Cluster) -> None:
    function = cluster.deploy()
    assert cluster.invoke(function)["status"] == "succeeded"
    for worker in cluster.workers:
        cluster.kill(worker, signal.SIGTERM)
        assert cluster.await_end(worker) == 0
    assert cluster.known_workers() == set()
    assert cluster.sandbox_owners() == set()
