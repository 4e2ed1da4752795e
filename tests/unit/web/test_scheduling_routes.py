"""`run_at`, `delay` and `expires_in`; replays, batches and events over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from faas.domain import ids
from faas.domain.invocation import Status


def stamp(**ahead):
    return (datetime.now(UTC) + timedelta(**ahead)).isoformat()


@pytest.fixture
def slow(create):
    return create(name="slow")


def invoke(client, **fields):
    return client.post("/invoke", json={"function_id": "slow", **fields})


def test_times_reach_the_services(client, services, slow):
    assert invoke(client, delay="1m30s", expires_in=3600).status_code == 202
    asked = services.invocations.requests[-1]
    assert (asked.delay_ms, asked.run_at, asked.expires_ms) == (90_000, None, 3_600_000)
    response = invoke(client, run_at="2026-01-02T03:04:05.678+01:00")
    assert response.json["run_at"] == "2026-01-02T02:04:05.678Z"
    asked = services.invocations.requests[-1]
    assert (asked.delay_ms, asked.expires_ms) == (None, None)
    for text in ("2026-01-02t03:04:05z", "0001-01-01T14:00:00+14:00", "2026-01-02T03:04:05.123456789Z"):
        assert invoke(client, run_at=text).status_code == 202


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"delay": -1}, "delay"),
        ({"delay": "721h"}, "delay"),
        ({"delay": "30"}, "delay"),
        ({"delay": "1s", "run_at": "2026-01-02T03:04:05Z"}, "run_at"),
        ({"run_at": "2026-01-02"}, "run_at"),
        ({"run_at": "2026-01-02T03:04:05"}, "run_at"),
        ({"run_at": "2026-02-30T03:04:05Z"}, "run_at"),
        ({"run_at": "2026-01-02T03:04:60Z"}, "run_at"),
        ({"run_at": 1767322800}, "run_at"),
        ({"run_at": "0001-01-01T00:00:00+14:00"}, "run_at"),
        ({"run_at": stamp(days=31)}, "run_at"),
        ({"run_at": "9999-12-31T23:59:59-12:00"}, "run_at"),
        ({"run_at": None}, "run_at"),
        ({"expires_in": 0}, "expires_in"),
        ({"expires_in": "10s", "delay": "10s"}, "expires_in"),
        ({"expires_in": "1441h"}, "expires_in"),
    ],
)
def test_times_that_can_not_be(client, services, slow, is_problem, fields, wrong):
    is_problem(invoke(client, **fields), 422, wrong)
    assert services.invocations.requests == []


def test_a_replay_is_a_new_invocation(client, services, slow):
    first = invoke(client, payload={"a": 1}).json
    assert client.post(f"/invocations/{first['id']}/replay").status_code == 409
    services.invocations.finish(first["id"], Status.FAILED)
    client.put("/functions/slow", json={"memory_mb": 64})
    pinned = client.post(f"/invocations/{first['id']}/replay")
    assert (pinned.status_code, pinned.json["replay_of"], pinned.json["revision"]) == (202, first["id"], 1)
    assert (pinned.json["payload"], pinned.headers["Location"]) == ({"a": 1}, f"/invocations/{pinned.json['id']}")
    newest = client.post(f"/invocations/{first['id']}/replay?revision=newest")
    assert newest.json["revision"] == 2


def test_a_key_makes_one_replay(client, services, slow):
    first = invoke(client).json
    services.invocations.finish(first["id"])
    path, headers = f"/invocations/{first['id']}/replay", {"Idempotency-Key": "k"}
    one = client.post(path, headers=headers)
    two = client.post(path, headers=headers)
    assert (two.json["id"], two.headers["Idempotent-Replayed"]) == (one.json["id"], "true")
    assert client.post(f"{path}?revision=newest", headers=headers).status_code == 422


def test_what_can_not_be_run_again(client, is_problem, slow):
    is_problem(client.post(f"/invocations/{ids.uuid7()}/replay"), 404)
    is_problem(client.post("/invocations/nothing/replay"), 404)
    is_problem(client.post(f"/invocations/{ids.uuid7()}/replay?revision=7"), 422, "revision")


def test_a_batch_is_accepted_and_followed(client, services, slow, create):
    create(name="fast")
    items = [{"function_id": "slow", "payload": 1, "delay": "5s"}, {"function_id": "fast", "payload": 2}]
    response = client.post("/invoke/batch", json={"items": items}, headers={"Idempotency-Key": "k"})
    made = response.json
    assert (response.status_code, len(made["invocation_ids"])) == (202, 2)
    asked = services.batches.requests[-1]
    assert [(one.payload, one.delay_ms, one.idempotency_key) for one in asked.items] == [
        ("1", 5000, None),
        ("2", None, None),
    ]
    assert (asked.idempotency_key, len(asked.fingerprint)) == ("k", 32)
    page = client.get(response.headers["Location"]).json
    assert [item["id"] for item in page["items"]] == made["invocation_ids"][::-1]
    assert {item["batch_id"] for item in page["items"]} == {made["batch_id"]}
    assert page["counts"] == {
        "queued": 1, "running": 0, "succeeded": 1, "failed": 0, "timed_out": 0, "cancelled": 0,
    }  # fmt: skip
    of_nobody = client.get(f"/invocations?batch_id={ids.uuid7()}").json
    assert (of_nobody["items"], set(of_nobody["counts"].values())) == ([], {0})
    assert "counts" not in client.get("/invocations").json


@pytest.mark.parametrize(
    ("fields", "status", "wrong"),
    [
        ({}, 422, "items"),
        ([], 422, "body"),
        ({"items": []}, 422, "items"),
        ({"items": "slow"}, 422, "items"),
        ({"items": [{"function_id": "slow"}] * 1001}, 422, "items"),
        ({"items": [{"function_id": "slow"}, 5]}, 422, "items.1"),
        ({"items": [{"function_id": "slow"}, {"function_id": "slow", "timeout": 0}]}, 422, "items.1.timeout"),
        ({"items": [{"function_id": "slow"}], "more": 1}, 422, "more"),
        ({"items": [{"function_id": "slow"}, {"function_id": "nobody"}]}, 404, None),
    ],
)
def test_a_batch_that_can_not_be_leaves_nothing(client, services, slow, is_problem, fields, status, wrong):
    is_problem(client.post("/invoke/batch", json=fields), status, wrong)
    assert services.invocations.stored == {}


def test_a_thousand_items(client, slow):
    made = client.post("/invoke/batch", json={"items": [{"function_id": "slow"}] * 1000}).json
    assert len(set(made["invocation_ids"])) == 1000


def test_a_batch_id_is_an_id(client, is_problem):
    is_problem(client.get("/invocations?batch_id=7"), 422, "batch_id")


def test_events_tell_what_happened_and_what_it_waits_for(client, services, slow):
    made = invoke(client).json
    answer = client.get(f"/invocations/{made['id']}/events").json
    assert (answer["invocation_id"], answer["status"]) == (made["id"], "queued")
    assert answer["waiting_for"] == {"reason": "concurrency", "limit": 1, "used": 1, "position": 2}
    assert answer["events"] == [{"time": made["created_at"], "type": "accepted", "revision": 1}]
    services.invocations.finish(made["id"])
    answer = client.get(f"/invocations/{made['id']}/events").json
    assert (answer["waiting_for"], answer["events"][-1]["type"]) == (None, "ended")


def test_no_events_of_what_is_not_there(client, is_problem):
    is_problem(client.get(f"/invocations/{ids.uuid7()}/events"), 404)
    is_problem(client.get("/invocations/%00/events"), 404)


def test_many_are_run_again_by_a_filter(client, services, slow):
    failed = [invoke(client, payload=n).json["id"] for n in range(3)]
    for one in failed:
        services.invocations.finish(one, Status.FAILED)
    wanted = {
        "status": "failed", "function_id": "slow", "batch_id": ids.uuid7(), "after": "2026-01-02T03:04:05Z", "before": "2026-01-02T03:04:06Z",
        "revision": "newest", "limit": 2,
    }  # fmt: skip
    answer = client.post("/invocations/replay", json=wanted)
    assert (answer.status_code, len(answer.json["invocation_ids"])) == (202, 2)
    assert answer.headers["Location"] == f"/invocations?batch_id={answer.json['batch_id']}"
    asked = services.batches.replays[-1]
    assert (asked.status, asked.function, asked.batch_id, asked.pinned, asked.limit) == (
        Status.FAILED, "slow", wanted["batch_id"], False, 2,
    )  # fmt: skip
    assert (asked.before - asked.after).total_seconds() == 1
    assert client.post("/invocations/replay", json={"status": "cancelled"}).json["invocation_ids"] == []
    assert (services.batches.replays[-1].pinned, services.batches.replays[-1].limit) == (True, 1000)


@pytest.mark.parametrize(
    ("fields", "status", "wrong"),
    [
        ({}, 422, "status"),
        ({"status": "queued"}, 422, "status"),
        ({"status": "failed", "limit": 1001}, 422, "limit"),
        ({"status": "failed", "batch_id": "7"}, 422, "batch_id"),
        ({"status": "failed", "function_id": "no name"}, 404, None),
        ({"status": "failed", "after": "yesterday"}, 422, "after"),
    ],
)
def test_a_filter_that_can_not_be(client, services, is_problem, fields, status, wrong):
    is_problem(client.post("/invocations/replay", json=fields), status, wrong)
    assert services.batches.replays == []
