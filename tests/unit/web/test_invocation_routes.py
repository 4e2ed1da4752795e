"""`/invoke` and `/invocations`."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest

from faas.domain.function import MIB
from faas.domain.invocation import Status
from faas.domain.log import Excerpt, Piece, Position
from faas.errors import BrokerDown, DatabaseDown

NO_SUCH_ID = "01890a5d-ac96-774b-bcce-b302099a8057"
FIELDS = {
    "id", "function_id", "function_name", "revision", "status", "payload", "headers", "result", "error", "attempts", "max_attempts", "created_at",
    "started_at", "finished_at", "queue_ms", "init_ms", "duration_ms", "cold_start", "memory_peak_mb", "worker_id", "run_at",
    "expires_at", "batch_id", "replay_of",
}  # fmt: skip


@pytest.fixture
def fast(create):
    return create(name="fast")


@pytest.fixture
def slow(create):
    return create(name="slow")


def invoke(client, ref, payload=None, headers=None, **fields):
    return client.post("/invoke", json={"function_id": ref, "payload": payload, **fields}, headers=headers or {})


def test_invoke_answers_202_with_its_place_and_the_record(client, slow):
    response = invoke(client, "slow", {"a": 1})
    record = response.json
    assert response.status_code == 202
    assert response.headers["Location"] == f"/invocations/{record['id']}"
    assert set(record) == FIELDS | {"invocation_id"}
    assert record["invocation_id"] == record["id"]
    assert (record["status"], record["payload"], record["headers"]) == ("queued", {"a": 1}, {})
    assert "Preference-Applied" not in response.headers
    assert "Idempotent-Replayed" not in response.headers
    stored = client.get(response.headers["Location"]).json
    assert stored == {name: value for name, value in record.items() if name != "invocation_id"}


def test_the_services_get_what_the_body_says(client, services, slow):
    body = {"function_id": "slow", "payload": {"ü": [1, 1.0, "☂"]}, "headers": {"X-Trace": "t-1"}, "timeout": "1.5s"}
    assert client.post("/invoke", json=body).status_code == 202
    assert client.post("/invoke", json={"function_id": slow["id"]}).status_code == 202
    first, second = services.invocations.requests
    assert (first.function, first.headers, first.timeout_ms) == ("slow", {"X-Trace": "t-1"}, 1500)
    assert first.payload == '{"\\u00fc":[1,1.0,"\\u2602"]}'
    assert (second.function, second.payload, second.headers, second.timeout_ms, second.idempotency_key) == (
        slow["id"],
        "null",
        {},
        None,
        None,
    )


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"function_id": 5}, "function_id"), ({"function_id": None}, "function_id"), ({"function_id": "x" * 300}, "function_id"),
        ({"timeout": "30"}, "timeout"), ({"timeout": 0}, "timeout"), ({"timeout": None}, "timeout"), ({"timeout": "16m"}, "timeout"),
        ({"headers": []}, "headers"), ({"headers": {"a": 1}}, "headers"), ({"headers": None}, "headers"), ({"headers": {"a": "x" * 70_000}}, "headers"),
        ({"headers": {"a": "\0"}}, "headers"), ({"payload": "\ud800"}, "payload"), ({"payload": {"a": ["\0"]}}, "payload"),
        ({"status": "queued"}, "status"), ({"id": NO_SUCH_ID}, "id"), ({"privileged": True}, "privileged"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_a_bad_field_is_named_and_accepts_nothing(client, services, fast, is_problem, fields, field):
    is_problem(client.post("/invoke", json={"function_id": "fast", **fields}), 422, field)
    assert not services.invocations.stored


def test_invoke_without_a_function_is_422(client, is_problem):
    is_problem(client.post("/invoke", json={"payload": 1}), 422, "function_id")


@pytest.mark.parametrize("ref", ["nobody", NO_SUCH_ID, "../x", "", "a/b"])
def test_invoke_of_an_unknown_function_is_404(client, is_problem, ref):
    is_problem(client.post("/invoke", json={"function_id": ref}), 404)


def test_the_payload_is_measured_as_utf8(client, fast, is_problem):
    largest = "☂" * (2 * MIB - 1) + "x"
    response = invoke(client, "fast", largest)
    assert response.status_code == 202
    assert response.json["payload"] == largest
    is_problem(invoke(client, "fast", largest + "xx"), 413)


# ---------------------------------------------------------------- waiting


@pytest.mark.parametrize(
    "prefer",
    [
        "wait=20",
        "respond-async, wait=20",
        "WAIT=20",
        "wait = 20",
        'wait="20"',
        "foo=bar; x=1, wait=20",
        'a="x, wait=0", wait=20',
        ", ,wait=20",
        "wait=20;x=y",
    ],
)
def test_prefer_wait_in_the_forms_of_rfc_7240_holds_the_answer(client, services, slow, prefer):
    def finish():
        with services.invocations.changed:
            (id_,) = services.invocations.stored
        services.invocations.finish(id_)

    timer = threading.Timer(0.2, finish)
    timer.start()
    response = invoke(client, "slow", 7, {"Prefer": prefer})
    timer.join()
    assert response.status_code == 200
    assert (response.json["status"], response.json["result"]) == ("succeeded", 7)
    assert response.headers["Preference-Applied"] == "wait=20"


def test_prefer_wait_is_capped(client, fast):
    assert invoke(client, "fast", 1, {"Prefer": "wait=100000"}).headers["Preference-Applied"] == "wait=60"


@pytest.mark.parametrize(
    "prefer",
    [
        "wait=0",
        "return=minimal",
        "wait=-5",
        "wait=soon",
        "",
        "wait",
        "wait=",
        "wait=1e3",
        "await=5",
        'x="wait=5"',
        "wait=٣",
        "=,;",
    ],
)
def test_an_unusable_prefer_is_ignored(client, slow, prefer):
    response = invoke(client, "slow", 1, {"Prefer": prefer.encode().decode("latin-1")})
    assert response.status_code == 202
    assert "Preference-Applied" not in response.headers


def test_a_wait_that_ends_too_early_answers_the_plain_202(client, slow):
    response = invoke(client, "slow", 1, {"Prefer": "wait=0.2"})
    assert (response.status_code, response.json["status"]) == (202, "queued")


def test_a_failing_wait_still_says_accepted(client, services, slow, monkeypatch):
    def down(id_, seconds):
        raise BrokerDown("gone")

    monkeypatch.setattr(services.invocations, "wait", down)
    response = invoke(client, "slow", 1, {"Prefer": "wait=5"})
    assert response.status_code == 202
    assert response.json["id"] in services.invocations.stored


def test_get_waits_until_it_is_terminal(client, services, slow):
    id_ = invoke(client, "slow", 3).json["id"]
    timer = threading.Timer(0.2, services.invocations.finish, [id_])
    timer.start()
    record = client.get(f"/invocations/{id_}?wait=30.5").json
    timer.join()
    assert (record["status"], record["result"]) == ("succeeded", 3)
    assert client.get(f"/invocations/{id_}?wait=60").json == record


@pytest.mark.parametrize("wait", ["-1", "60.1", "61", "soon", "", "1e1", "nan", "inf", "1&wait=2", "%2B5", "٣"])
def test_a_bad_wait_is_422(client, fast, is_problem, wait):
    id_ = invoke(client, "fast").json["id"]
    is_problem(client.get(f"/invocations/{id_}?wait={wait}"), 422, "wait")


# ---------------------------------------------------------------- idempotency


def test_a_key_replays_whatever_the_order_of_the_body(client, slow):
    first = client.post(
        "/invoke",
        data='{"function_id": "slow", "payload": {"a": 1, "b": 2}}',
        content_type="application/json",
        headers={"Idempotency-Key": "k"},
    )
    second = client.post(
        "/invoke",
        data='{"payload":{"b":2,"a":1},"function_id":"slow"}',
        content_type="application/json",
        headers={"Idempotency-Key": "k"},
    )
    assert (first.status_code, second.status_code) == (202, 202)
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert first.json["id"] == second.json["id"]


def test_a_key_with_another_body_is_422(client, slow, is_problem):
    assert invoke(client, "slow", 1, {"Idempotency-Key": "k"}).status_code == 202
    is_problem(invoke(client, "slow", 1.0, {"Idempotency-Key": "k"}), 422)


@pytest.mark.parametrize("key", ["", "x" * 256, "naïve", "tab\tbed"])
def test_a_bad_key_is_422(client, services, fast, is_problem, key):
    is_problem(invoke(client, "fast", 1, {"Idempotency-Key": key}), 422, "Idempotency-Key")
    assert not services.invocations.stored


def test_the_longest_key_is_taken(client, fast):
    assert invoke(client, "fast", 1, {"Idempotency-Key": "x" * 255}).status_code == 202


# ---------------------------------------------------------------- lists, cancel, logs


def test_lists_leave_out_payloads_and_filter(client, fast, slow):
    done, waiting = invoke(client, "fast", 1).json["id"], invoke(client, "slow", 1).json["id"]
    items = client.get("/invocations").json["items"]
    assert [item["id"] for item in items] == [waiting, done]
    assert set(items[0]) == FIELDS - {"payload", "headers", "result"}

    def ids(query):
        return [item["id"] for item in client.get(f"/invocations?{query}").json["items"]]

    assert ids("function_id=fast") == ids(f"function_id={fast['id']}") == ids("status=succeeded") == [done]
    assert ids("function_id=slow&status=succeeded") == ids("function_id=nobody") == ids("function_id=..%2f") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=done", "status"),
        ("status=", "status"),
        ("limit=0", "limit"),
        ("function_id=%00", "function_id"),
        ("status=queued&status=failed", "status"),
    ],
)
def test_bad_filters_are_422(client, is_problem, query, field):
    is_problem(client.get(f"/invocations?{query}"), 422, field)


def test_cancel_is_202_then_409(client, slow, is_problem):
    id_ = invoke(client, "slow").json["id"]
    response = client.post(f"/invocations/{id_}/cancel")
    assert (response.status_code, response.json["status"]) == (202, "cancelled")
    is_problem(client.post(f"/invocations/{id_}/cancel"), 409)


@pytest.mark.parametrize("id_", [NO_SUCH_ID, "x", NO_SUCH_ID.upper(), "%00", NO_SUCH_ID + "%0a"])
def test_an_unknown_invocation_is_404(client, is_problem, id_):
    is_problem(client.get(f"/invocations/{id_}"), 404)
    is_problem(client.post(f"/invocations/{id_}/cancel"), 404)
    is_problem(client.get(f"/invocations/{id_}/logs"), 404)
    is_problem(client.get(f"/invocations/{id_}/logs?follow=true"), 404)


def test_logs_are_text_with_what_is_not_utf8_replaced(client, services, fast):
    id_ = invoke(client, "fast").json["id"]
    services.invocations.printed[id_] = "erste ☂\n".encode() + b"\xff\x00<script>"
    response = client.get(f"/invocations/{id_}/logs")
    assert response.content_type == "text/plain; charset=utf-8"
    assert response.text == "erste ☂\n\ufffd\x00<script>"


def events(text):
    """(event, data) of a stream of server-sent events; every line must be one."""
    found = []
    for block in text.split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith((":", "retry: ", "id: "))]
        if lines:
            assert [line.split(": ", 1)[0] for line in lines] == ["event", "data"], block
            found.append((lines[0].removeprefix("event: "), json.loads(lines[1].removeprefix("data: "))))
    return found


def log_ids(text):
    """The ids of the events, in order."""
    return [line.removeprefix("id: ") for line in text.split("\n") if line.startswith("id: ")]


def test_followed_logs_end_with_the_status(client, services, slow):
    id_ = invoke(client, "slow").json["id"]
    services.invocations.printed[id_] = b"one\r\n\ntwo ::\xff"
    timer = threading.Timer(0.2, services.invocations.finish, [id_, Status.FAILED])
    timer.start()
    response = client.get(f"/invocations/{id_}/logs?follow=true")
    timer.join()
    assert response.content_type.split(";")[0] == "text/event-stream"
    kinds = events(response.text)
    assert [data["text"] for kind, data in kinds if kind == "log"] == ["one\r\n", "\n", "two ::\ufffd"]
    assert kinds[-1] == ("end", {"status": "failed"})


def test_followed_logs_of_silence_are_one_end(client, fast):
    id_ = invoke(client, "fast").json["id"]
    assert events(client.get(f"/invocations/{id_}/logs?follow=true").text) == [("end", {"status": "succeeded"})]


@pytest.fixture
def half_told(client, services, fast):
    """An invocation whose log is `one`, `☂`, `two`, lines of two streams; it was told to the middle of the umbrella while it ran."""
    id_ = invoke(client, "fast").json["id"]
    whole = "one\n☂\ntwo\n".encode()
    pieces = (Piece("stdout", 1_700_000_000.5, b"one\n"), Piece("stderr", 1_700_000_001.0, whole[4:6]))
    services.invocations.excerpts[id_] = [Excerpt(Position(1, 0), pieces)]
    services.invocations.stored[id_] = replace(services.invocations.stored[id_], attempts=1)
    services.invocations.printed[id_] = whole
    return id_


def test_followed_logs_say_stream_and_time_and_the_record_has_the_rest(client, half_told):
    text = client.get(f"/invocations/{half_told}/logs?follow=true").text
    first, *rest = [data for kind, data in events(text) if kind == "log"]
    assert first == {"time": "2023-11-14T22:13:20.500Z", "stream": "stdout", "text": "one\n"}
    assert [data["text"] for data in rest] == ["☂\n", "two\n"]
    assert log_ids(text) == ["1:4", "1:8", "1:12"]


def test_followed_logs_resume_where_the_client_was(client, services, half_told):
    services.invocations.excerpts.clear()
    for id_, expected in {
        "1:4": ["☂\n", "two\n"],
        "1:8": ["two\n"],
        "1:12": [],
        "1:99": [],
        "0:0": ["one\n", "☂\n", "two\n"],
        "nonsense": ["one\n", "☂\n", "two\n"],
    }.items():
        text = client.get(f"/invocations/{half_told}/logs?follow=true", headers={"Last-Event-ID": id_}).text
        assert [data["text"] for kind, data in events(text) if kind == "log"] == expected, id_
        assert events(text)[-1] == ("end", {"status": "succeeded"})


def test_followed_logs_begin_anew_with_another_attempt(client, services, half_told):
    record = services.invocations.stored[half_told]
    services.invocations.stored[half_told] = replace(record, attempts=2)
    text = client.get(f"/invocations/{half_told}/logs?follow=true").text
    assert [data["text"] for kind, data in events(text) if kind == "log"] == ["one\n", "one\n", "☂\n", "two\n"]
    assert log_ids(text) == ["1:4", "2:4", "2:8", "2:12"]


def test_a_followed_log_that_ends_in_half_a_character_shows_that(client, services, half_told):
    services.invocations.printed[half_told] = services.invocations.printed[half_told][:6]
    text = client.get(f"/invocations/{half_told}/logs?follow=true").text
    assert [data["text"] for kind, data in events(text) if kind == "log"] == ["one\n", "\ufffd"]


def test_a_followed_log_is_cut_off_without_an_end_when_the_platform_fails(client, services, half_told, monkeypatch):
    def away(id_):
        raise DatabaseDown("away")

    monkeypatch.setattr(services.invocations, "logs", away)
    text = client.get(f"/invocations/{half_told}/logs?follow=true").text
    assert [kind for kind, _ in events(text)] == ["log"]


def test_follow_is_true_or_false(client, fast, is_problem):
    id_ = invoke(client, "fast").json["id"]
    is_problem(client.get(f"/invocations/{id_}/logs?follow=yes"), 422, "follow")
    assert client.get(f"/invocations/{id_}/logs?follow=false").content_type.startswith("text/plain")
