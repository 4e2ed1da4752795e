"""Idempotency keys across the crash of a controller."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest
import requests

from e2e.cluster import WITH_ONE_ENGINE, Cluster, eventually, parallel

pytestmark = [pytest.mark.timeout(400), WITH_ONE_ENGINE]
KEYS = 100


def test_a_controller_killed_during_submits_with_keys_leaves_one_invocation_a_key(cluster: Cluster) -> None:
    function = cluster.deploy(max_concurrency=10)
    pid = cluster.pid("controller2")
    (process,) = (int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())

    def post(n: int, controller: str) -> requests.Response:
        body = {"function_id": function, "payload": {"token": n}}
        headers = {"Idempotency-Key": f"{function}-{n}"}
        return cluster.call("POST", "/invoke", controller=controller, json=body, headers=headers)

    def submit(n: int) -> tuple[str | None, str]:
        """What the first answer promised, where there was one, and what a second call says."""
        if n == KEYS // 2:
            os.kill(process, signal.SIGKILL)
        try:
            answer = post(n, "controller2")
            first = answer.json()["id"] if answer.status_code == 202 else None
        except requests.RequestException:
            first = None
        second = post(n, "controller1")
        assert second.status_code == 202, second.text
        return first, second.json()["id"]

    answers = parallel(submit, range(KEYS))
    assert all(first in (None, second) for first, second in answers)
    ids = [second for _, second in answers]
    assert len(set(ids)) == KEYS
    records = cluster.wait_all(ids)
    assert Counter(record["status"] for record in records) == {"succeeded": KEYS}
    assert [record["result"]["token"] for record in records] == list(range(KEYS))
    assert cluster.sql("SELECT count(*) FROM invocations WHERE function_id = %s", function) == [(KEYS,)]
    eventually(lambda: cluster.call("GET", "/health", controller="controller2").status_code == 200, "it is back")
