"""`/fn/{name}`: requests become events, and CloudEvents are told from other requests."""

from __future__ import annotations

import base64
import json

import pytest

CLOUDEVENT = {"specversion": "1.0", "id": "7", "source": "/shop", "type": "paid", "data": {"n": 1}}
PUBLIC = {"public": True, "cors": {"allow_origins": ["https://app.example"], "max_age": "5m"}}
STRUCTURED = {"Content-Type": "application/cloudevents+json"}
BINARY = {"ce-specversion": "1.0", "ce-id": "7", "ce-source": "/shop", "ce-type": "paid"}


def test_a_request_is_the_event_exactly(client, create):
    create()
    answer = client.open(
        "/fn/hello/a%20b//c?x=1&x=2&empty=&y=%26",
        method="PATCH",
        data="søk",
        headers={"X-One": "1", "Connection": "X-Two", "X-Two": "2"},
    )
    assert answer.status_code == 200
    event = answer.json
    assert {name: event[name] for name in ("method", "path", "query", "query_string", "body", "is_base64")} == {
        "method": "PATCH", "path": "/a b//c", "query": {"x": ["1", "2"], "empty": [""], "y": ["&"]}, "query_string": "x=1&x=2&empty=&y=%26",
        "body": "søk", "is_base64": False,
    }  # fmt: skip
    assert event["headers"]["x-one"] == "1"
    # They belong to the connection: the one by its nature, the other because `Connection` says so.
    assert not {"connection", "x-two", "content-length"} & set(event["headers"])


@pytest.mark.parametrize("data", [bytes(range(256)), b"\0", b"\xff"])
def test_a_body_that_is_no_text_comes_in_base64(client, create, data):
    create()
    event = client.post("/fn/hello", data=data).json
    assert event["is_base64"] is True
    assert base64.b64decode(event["body"]) == data


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_is_an_invocation(client, create, services, method):
    create()
    answer = client.open("/fn/hello", method=method)
    assert answer.status_code == 200
    assert services.invocations.get(answer.headers["X-Invocation-Id"]).payload["method"] == method
    assert bool(answer.data) == (method != "HEAD")


def test_what_is_too_large_missing_or_not_to_be_kept_is_refused(client, create, services, is_problem):
    create()
    is_problem(client.post("/fn/hello", data=b"x" * (6 * 1024 * 1024 + 1)), 413)
    # Base64 of it is over the limit of a payload.
    is_problem(client.post("/fn/hello", data=b"\xff" * (5 * 1024 * 1024)), 413)
    is_problem(client.get("/fn/nobody"), 404)
    is_problem(client.get("/fn/no%20name"), 404)
    is_problem(client.get("/fn/hello?a=%00"), 400)
    is_problem(client.get("/fn/hello/%00"), 400)
    assert not services.invocations.requests


def test_the_same_key_is_one_invocation_and_another_request_with_it_is_refused(client, create, is_problem):
    create()
    headers = {"Idempotency-Key": "k"}
    first = client.post("/fn/hello", data="a", headers=headers)
    again = client.post("/fn/hello", data="a", headers=headers | {"X-Trace": "another"})
    assert again.headers["X-Invocation-Id"] == first.headers["X-Invocation-Id"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json == first.json
    is_problem(client.post("/fn/hello", data="b", headers=headers), 422, "Idempotency-Key")


def test_who_does_not_wait_is_told_where_the_record_is(client, create, is_problem):
    create(name="slow")
    accepted = client.post("/fn/slow", headers={"Prefer": "respond-async"})
    assert accepted.status_code == 202
    assert accepted.headers["Location"] == f"/invocations/{accepted.json['invocation_id']}"
    late = client.post("/fn/slow", headers={"Prefer": "wait=0.2"})
    assert late.status_code == 504
    assert late.headers["Location"] == f"/invocations/{late.headers['X-Invocation-Id']}"
    assert late.json["title"] == "Gateway Timeout"


def test_preflights_are_answered_by_the_platform(client, create, services):
    create(http=PUBLIC)
    asked = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "x-a",
    }
    answer = client.options("/fn/hello/x", headers=asked)
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "PUT" in answer.headers["Access-Control-Allow-Methods"]
    assert answer.headers["Access-Control-Allow-Headers"] == "x-a"
    assert answer.headers["Access-Control-Max-Age"] == "300"
    refused = client.options("/fn/hello", headers=asked | {"Origin": "https://evil.example"})
    assert not [name for name, _ in refused.headers if name.startswith("Access-Control")]
    assert not services.invocations.requests


def test_answers_and_problems_can_be_read_by_allowed_origins_alone(client, create):
    create(http=PUBLIC)
    for path in ("/fn/hello", "/fn/hello?a=%00"):
        answer = client.get(path, headers={"Origin": "https://app.example"})
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert answer.headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Origin" not in client.get(path, headers={"Origin": "https://evil.example"}).headers


@pytest.mark.parametrize(
    ("http", "field"),
    [
        ({"public": "yes"}, "http.public"),
        ({"cors": {}}, "http.cors.allow_origins"),
        ({"cors": {"allow_origins": ["app.example"]}}, "http.cors.allow_origins"),
        ({"cors": {"allow_origins": ["https://a/path"]}}, "http.cors.allow_origins"),
        ({"cors": {"allow_origins": ["*"], "allow_credentials": True}}, "http.cors.allow_credentials"),
        ({"cors": {"allow_origins": ["*"], "allow_headers": ["a\r\nb"]}}, "http.cors.allow_headers"),
        ({"cors": {"allow_origins": ["*"], "max_age": "48h"}}, "http.cors.max_age"),
        ({"cors": {"allow_origins": []}}, "http.cors.allow_origins"),
        ({"other": 1}, "http.other"),
    ],
)
def test_wrong_settings_are_refused(client, body, is_problem, http, field):
    is_problem(client.post("/functions", json=body(http=http)), 422, field)


def test_settings_are_shown_as_they_can_be_given_again(client, create):
    made = create(http=PUBLIC)
    assert made["http"]["cors"]["max_age"] == "5m"
    again = client.put("/functions/hello", json={"http": made["http"]})
    assert again.json["http"] == made["http"]


def test_a_cloudevent_comes_in_both_modes_as_the_same(client, create):
    create()
    structured = client.post("/fn/hello", data=json.dumps(CLOUDEVENT), headers=STRUCTURED).json["cloudevent"]
    assert structured == CLOUDEVENT
    create(name="other")
    binary = client.post("/fn/other", json={"n": 1}, headers=BINARY).json["cloudevent"]
    assert binary == CLOUDEVENT | {"datacontenttype": "application/json"}


def test_an_event_that_comes_again_is_one_invocation(client, create, services):
    create()
    for headers in ({}, {"traceparent": "00-1"}):
        client.post("/fn/hello", json={"n": 1}, headers=BINARY | headers)
    client.post("/fn/hello", json={"n": 1}, headers=BINARY | {"ce-id": "8"})
    assert len(services.invocations.requests) == 2


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": None}, "id"),
        ({"specversion": "0.3"}, "specversion"),
        ({"source": "a b"}, "source"),
        ({"type": ""}, "type"),
        ({"time": "yesterday"}, "time"),
        ({"datacontenttype": "json"}, "datacontenttype"),
        ({"dataschema": "relative"}, "dataschema"),
        ({"Upper": "x"}, "Upper"),
        ({"ext": {"a": 1}}, "ext"),
        ({"data_base64": "AA=="}, "data_base64"),
    ],
)
def test_the_attribute_that_is_wrong_is_named(client, create, is_problem, services, changes, field):
    create()
    is_problem(client.post("/fn/hello", data=json.dumps(CLOUDEVENT | changes), headers=STRUCTURED), 422, field)
    assert not services.invocations.requests


def test_wrong_headers_of_events_are_named_as_headers(client, create, is_problem):
    create()
    is_problem(client.post("/fn/hello", data="{}", headers={"ce-id": "1"}), 422, "ce-source")
    is_problem(client.post("/fn/hello", data="{}", headers=BINARY | {"ce-time": "x"}), 422, "ce-time")
    is_problem(client.post("/fn/hello", data="[]", headers={"Content-Type": "application/cloudevents-batch+json"}), 415)


def test_data_of_an_event_is_json_text_or_base64(client, create):
    create()
    for number, (content_type, body, expected) in enumerate(
        [
            ("application/json", b"[1]", {"data": [1]}),
            ("application/problem+json", b"{}", {"data": {}}),
            ("text/plain", b"hi", {"data": "hi"}),
            ("image/png", b"\xff\0", {"data_base64": "/wA="}),
        ]
    ):
        headers = BINARY | {"ce-id": str(number), "Content-Type": content_type, "ce-note": "50%25"}
        found = client.post("/fn/hello", data=body, headers=headers).json["cloudevent"]
        assert {name: found.get(name) for name in expected} == expected
        assert found["note"] == "50%"
