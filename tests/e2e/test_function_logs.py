"""`GET /functions/{ref}/logs?follow=true` and `/fn/{name}` on a running platform."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from e2e.cluster import PATIENCE, WITH_ONE_ENGINE, Cluster

pytestmark = [pytest.mark.timeout(400), WITH_ONE_ENGINE]
# Says when it prints, and stays a while.
SOURCE = """
import time

def handler(event, context):
    for _ in range(event.get("lines", 1)):
        print(event["name"], time.time(), flush=True)
        time.sleep(0.4)
"""
HTTP = """
import base64

def handler(event, context):
    if event["path"] == "/fail":
        raise ValueError("bad")
    if event["path"] == "/slow":
        import time
        time.sleep(60)
    if event["path"] == "/wrong":
        return {"status": 200, "headers": {"X": "a\\r\\nb"}}
    body = base64.b64decode(event["body"]) if event["is_base64"] else event["body"].encode()
    return {
        "status": 418,
        "headers": {"Content-Type": "image/x", "Set-Cookie": ["a=1", "b=2"]},
        "body": base64.b64encode(body[::-1]).decode(),
        "is_base64": True,
    }
"""


class Reader(threading.Thread):
    """Reads a stream of events from a thread of its own, until it is left or `enough` says so: (when it came, kind, data, id)."""

    def __init__(self, url: str, enough: Callable[[list[Any]], bool], last_id: str | None = None) -> None:
        super().__init__(daemon=True)
        self.url, self.enough, self.last_id = url, enough, last_id
        self.events: list[tuple[float, str, dict[str, Any], str | None]] = []
        self.connected = threading.Event()
        self.start()

    def run(self) -> None:
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        with requests.get(self.url, stream=True, timeout=PATIENCE, headers=headers) as answer:
            fields: dict[str, str] = {}
            for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
                self.connected.set()
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif "event" in fields:
                    self.events.append((time.time(), fields["event"], json.loads(fields["data"]), fields.get("id")))
                    fields = {}
                    if self.enough(self.events):
                        return

    def found(self) -> list[tuple[float, str, dict[str, Any], str | None]]:
        """All events, once there are enough."""
        self.join(PATIENCE)
        assert not self.is_alive(), self.events
        return self.events


def ends(count: int) -> Callable[[list[Any]], bool]:
    return lambda events: sum(kind == "end" for _, kind, _, _ in events) >= count


def test_all_that_a_function_prints_is_followed_while_it_runs_and_resumed(cluster: Cluster) -> None:
    function = cluster.deploy(SOURCE)
    # Warm, so that what is measured is the way of a line.
    cluster.invoke(function, {"name": "warm"})
    url = f"{cluster.url('controller2')}/functions/{function}/logs?follow=true"
    reader = Reader(url, ends(2))
    reader.connected.wait(PATIENCE)
    time.sleep(0.5)
    ids = [cluster.submit(function, {"name": name, "lines": 4}) for name in ("a", "b")]
    events = reader.found()
    texts = {invocation_id: [] for invocation_id in ids}
    lags = []
    for came, kind, data, _ in events:
        if kind == "log":
            name, printed = data["text"].split()
            texts[data["invocation_id"]].append(name)
            lags.append(came - float(printed))
    assert texts == {ids[0]: ["a"] * 4, ids[1]: ["b"] * 4}
    # 200 ms is the aim; another load of the machine may delay some of them.
    assert sorted(lags)[len(lags) // 2] < 1.0, lags
    # Whoever comes again with the id of the first event is given all others, and no more.
    rest = Reader(url, ends(2), events[0][3]).found()
    assert sorted((data["invocation_id"], kind) for _, kind, data, _ in rest) == sorted(
        (data["invocation_id"], kind) for _, kind, data, _ in events[1:]
    )


def test_the_newest_logs_are_text(cluster: Cluster) -> None:
    function = cluster.deploy(SOURCE)
    records = [cluster.invoke(function, {"name": name}) for name in ("a", "b", "c")]
    lines = cluster.call("GET", f"/functions/{function}/logs?limit=2").text.splitlines()
    assert [line.split()[:2] for line in lines[::2]] == [["==>", record["id"]] for record in records[1:]]
    assert [line.split()[0] for line in lines[1::2]] == ["b", "c"]
    assert cluster.call("GET", f"/functions/{function}/logs?limit=51").status_code == 422
    assert cluster.call("GET", "/functions/nobody/logs?follow=true").status_code == 404


def test_a_function_is_called_by_plain_http(cluster: Cluster) -> None:
    function = cluster.deploy(HTTP, timeout="3s")
    data = bytes(range(256)) * 10
    answer = cluster.call("PUT", f"/fn/{function}/x?y=1", data=data)
    assert (answer.status_code, answer.content) == (418, data[::-1])
    assert answer.headers["Content-Type"] == "image/x"
    assert answer.raw.headers.getlist("Set-Cookie") == ["a=1", "b=2"]
    record = cluster.record(answer.headers["X-Invocation-Id"])
    assert (record["status"], record["payload"]["query"]) == ("succeeded", {"y": ["1"]})
    failed = cluster.call("GET", f"/fn/{function}/fail")
    assert (failed.status_code, failed.json()["detail"]) == (502, "ValueError: bad")
    assert "stack" not in failed.text
    wrong = cluster.call("GET", f"/fn/{function}/wrong")
    assert (wrong.status_code, "headers.X" in wrong.json()["detail"]) == (502, True)
    assert cluster.call("GET", f"/fn/{function}/slow").status_code == 504
