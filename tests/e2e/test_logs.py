"""Logs: what functions print, and the platform's own lines, which carry the invocation's id from the request to the sandbox and back."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import requests

from e2e.cluster import PATIENCE, WITH_ONE_ENGINE, Cluster, worker_name

pytestmark = pytest.mark.timeout(400)


def lines(text: str) -> list[dict[str, Any]]:
    """The structured lines of a log."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_what_a_function_prints_is_its_invocation_s_log(cluster: Cluster) -> None:
    source = "import sys\n\ndef handler(event, context):\n    print('to one', event)\n    print('to the other', file=sys.stderr)\n"
    function = cluster.deploy(source)
    records = [cluster.invoke(function, {"n": n}) for n in range(2)]
    for n, record in enumerate(records):
        answer = cluster.call("GET", f"/invocations/{record['id']}/logs", controller="controller2")
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert answer.text.splitlines() == [f"to one {{'n': {n}}}", "to the other"]


def test_a_followed_log_comes_while_its_function_runs(cluster: Cluster) -> None:
    source = (
        "import os, sys, time\n\ndef handler(event, context):\n    print('first', event)\n"
        "    time.sleep(3)\n    print('last', file=sys.stderr)\n    time.sleep(3)\n"
    )
    function = cluster.deploy(source)
    invocation_id = cluster.submit(function, {"n": 1})
    seen: list[tuple[float, str, dict[str, Any]]] = []
    with requests.get(
        f"{cluster.url('controller2')}/invocations/{invocation_id}/logs?follow=true", stream=True, timeout=PATIENCE
    ) as answer:
        kind = ""
        for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                seen.append((time.monotonic(), kind, json.loads(line.removeprefix("data: "))))
    assert [(kind, data.get("stream"), data.get("text")) for _, kind, data in seen] == [
        ("log", "stdout", "first {'n': 1}\n"),
        ("log", "stderr", "last\n"),
        ("end", None, None),
    ]
    assert seen[-1][2] == {"status": "succeeded"}
    # It was printed six seconds before the end.
    assert seen[-1][0] - seen[0][0] > 3


@WITH_ONE_ENGINE
def test_lines_carry_the_invocation_s_id_from_the_request_to_the_end(cluster: Cluster) -> None:
    function = cluster.deploy()
    record = cluster.invoke(function)
    requests = [
        line
        for line in lines(cluster.log("controller1"))
        if line.get("invocation_id") == record["id"] and line.get("route") == "/invoke"
    ]
    assert [(line["method"], line["status"]) for line in requests] == [("POST", 202)]
    ended = [
        line
        for line in lines(cluster.log(worker_name(record["worker_id"])))
        if line.get("invocation_id") == record["id"]
    ]
    assert [
        (line["message"], line["attempt"], line["status"]) for line in ended if line["message"] == "attempt ended"
    ] == [("attempt ended", 1, "succeeded")]


def test_what_a_function_prints_stays_out_of_the_platform_s_log(cluster: Cluster) -> None:
    source = 'def handler(event, context):\n    print(\'{"level": "error", "message": "forged by a function"}\')\n'
    assert cluster.invoke(cluster.deploy(source))["status"] == "succeeded"
    assert not [
        name for name in (*cluster.workers, "controller1", "controller2") if "forged by a function" in cluster.log(name)
    ]


@WITH_ONE_ENGINE
def test_no_part_logs_a_stack_trace_in_a_life_without_faults(cluster: Cluster) -> None:
    function = cluster.deploy('def handler(event, context):\n    raise ValueError("its own fault")\n')
    marks = {name: len(cluster.log(name)) for name in (*cluster.workers, *cluster.clocks, "controller1", "controller2")}
    assert cluster.invoke(function)["status"] == "failed"
    assert cluster.call("POST", "/functions", data=b"{").status_code in (400, 415)
    assert cluster.call("GET", "/invocations/none").status_code == 404
    for name, length in marks.items():
        fresh = cluster.log(name)[length:]
        assert "Traceback" not in fresh
        assert not [line for line in lines(fresh) if line["level"] in ("error", "critical")]
