"""`POST /invoke` ahead of Flask: for every request the answer is what Flask's would be."""

from __future__ import annotations

import json
import logging
import re

import pytest
from memory_services import Services

from faas import config
from faas.domain.access import Caller, Scope
from faas.domain.function import Runtime, Spec
from faas.errors import Conflict, DatabaseDown, QueueFull
from faas.queueing.rates import Rate
from faas.services.requests import NewFunction
from faas.web import create_app
from faas.web.front import Front

JSON = {"Content-Type": "application/json"}
GOOD = b'{"function_id": "fast", "payload": {"a": [1, 2.5, "\\u00e4"]}}'
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z")


class Limited:
    def __init__(self, *, allowed):
        self.allowed = allowed

    def count_request(self, namespace):
        return Rate(limit=5, remaining=2 if self.allowed else 0, reset_s=7, allowed=self.allowed)


class Keyed:
    def caller(self, key, *, late_s=0.0):
        scope = Scope.INVOKE if key == "may" else Scope.FUNCTIONS_READ
        return Caller("id", "name", frozenset({scope}), None, "default")


class Failing:
    def __init__(self, error):
        self.error = error

    def invoke(self, new, *, wait_s=0.0):
        raise self.error


def app(mode, change=lambda services: None):
    services = Services()
    for name in ("fast", "slow"):
        services.functions.create(NewFunction(name, Spec(Runtime.PYTHON, "main.handler"), b"code"))
    change(services)
    variables = {"DATABASE_URL": "postgresql://x/x", "REDIS_URL": "redis://x", "SERVER_INVOKE": mode}
    return create_app(services, config.load(variables))


def plain(text):
    return _TIME.sub("TIME", _UUID.sub("ID", text))


def told(records):
    lines = []
    for one in records:
        fields = {**getattr(one, "fields", {})}
        fields.pop("duration_ms", None)
        lines.append((one.levelname, one.getMessage(), plain(json.dumps(fields))))
    return lines


def answers(made, requests, caplog):
    """All that a client, and who reads the log, see of some requests."""
    found = []
    for request in requests:
        caplog.clear()
        with caplog.at_level(logging.INFO, "faas.web"):
            response = made.test_client().post("/invoke", **request)
        headers = [(name, "N" if name == "Retry-After" else plain(value)) for name, value in response.headers]
        found.append((response.status, headers, plain(response.text), told(caplog.records)))
    return found


def assert_same(caplog, *requests, change=lambda services: None):
    fast, flask = app("fast", change), app("flask", change)
    assert isinstance(fast.wsgi_app, Front)
    assert not isinstance(flask.wsgi_app, Front)
    found = answers(fast, requests, caplog)
    assert found == answers(flask, requests, caplog)
    return found


def call(body=GOOD, **headers):
    return {"data": body, "headers": {**JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (GOOD, 202),
        (b'{"function_id": "fast"}', 202),
        (b'{"function_id": "fast", "payload": null}', 202),
        (b' {"payload": 1e3,\n"function_id": "slow"}\n', 202),
        ('{"function_id": "fast", "payload": "\u00e4\u20ac"}'.encode(), 202),
        (b'{"function_id": "fast", "headers": {"a": "b"}, "timeout": "1s", "expires_in": "1h", "delay": 1}', 202),
        (b'{"function_id": "none"}', 404),
        (b'{"function_id": "%s"}' % (b"x" * 200), 404),
        (b'{"function_id": "%s"}' % (b"x" * 201), 422),
        (b'{"function_id": ""}', 404),
        (b'{"function_id": 5}', 422),
        (b'{"function_id": null, "payload": 1}', 422),
        (b'{"payload": 1}', 422),
        (b"{}", 422),
        (b'{"function_id": "fast", "what": 1}', 422),
        (b'{"function_id": "fast", "headers": {"a": 1}}', 422),
        (b'{"function_id": "fast", "payload": "\\u0000"}', 422),
        (b'{"function_id": "fast", "payload": "\\ud800"}', 422),
        (b'{"function_id": "fast", "payload": 1e400}', 422),
        (b'{"function_id": "fast", "function_id": "fast"}', 400),
        (b'{"function_id": "fast", "payload": NaN}', 400),
        (b'{"function_id": "fast", "payload": ' + b"[" * 300 + b"]" * 300 + b"}", 400),
        (b"\xef\xbb\xbf{}", 400),
        (b"\xff", 400),
        (b'{"function_id": "fast"', 400),
        (b"", 400),
        (b"  ", 400),
        (b"[]", 422),
        (b'"fast"', 422),
        (b'{"function_id": "fast", "payload": "%s"}' % (b"x" * (6 << 20)), 413),
    ],
)
def test_bodies(caplog, body, status):
    found = assert_same(caplog, call(body), call(body, Prefer="wait=1"))
    assert found[0][0].startswith(str(status))


@pytest.mark.parametrize(
    "headers",
    [
        {"Prefer": "wait=5"},
        {"Prefer": "respond-async, wait=0.5"},
        {"Prefer": "wait=x"},
        {"Prefer": "wait=100000"},
        {"Idempotency-Key": "a"},
        {"Idempotency-Key": ""},
        {"Idempotency-Key": "\u00e4"},
        {"X-Request-ID": "mine"},
        {"X-Request-ID": "not mine!"},
        {"Content-Type": "application/json; charset=utf-8"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "Application/JSON"},
        {"Content-Type": "text/plain"},
        {"Content-Type": ""},
        {"Content-Encoding": "identity"},
        {"Content-Encoding": "gzip"},
        {"Authorization": "Bearer faas_x"},
        {"Authorization": "bearer"},
        {"Authorization": "Basic eDp5"},
        {"Authorization": ""},
        {"Host": "faas.example.org:8080"},
        {"Host": "[::1]:8080"},
        {"Host": "a b"},
        {"Host": "x" * 100},
        {"Host": ""},
        {"X-Forwarded-For": "10.0.0.1"},
        {"Origin": "https://x", "Cookie": "session=1"},
    ],
)
def test_headers(caplog, headers):
    request = {"data": GOOD, "headers": {**JSON, **headers}}
    assert_same(caplog, request, request)


def test_other_paths_and_methods(caplog):
    fast, flask = app("fast").test_client(), app("flask").test_client()
    for method, path in [
        ("GET", "/invoke"),
        ("PUT", "/invoke"),
        ("OPTIONS", "/invoke"),
        ("POST", "/invoke/"),
        ("POST", "/Invoke"),
        ("POST", "/invoke?wait=1"),
        ("POST", "/invoke/batch"),
        ("GET", "/health/live"),
    ]:
        one, other = (client.open(path, method=method, data=GOOD, headers=JSON) for client in (fast, flask))
        assert (one.status, plain(one.text)) == (other.status, plain(other.text)), (method, path)
        assert [name for name, _ in one.headers] == [name for name, _ in other.headers]


def test_a_key_that_was_used_is_answered_with_what_it_made(caplog):
    found = assert_same(
        caplog,
        call(Idempotency_Key="k"),
        call(Idempotency_Key="k", Prefer="wait=1"),
        call(b'{"function_id": "slow"}', Idempotency_Key="k"),
    )
    assert ("Idempotent-Replayed", "true") in found[1][1]
    assert found[2][0].startswith("422")


@pytest.mark.parametrize(
    "error", [DatabaseDown("x"), QueueFull("x"), Conflict("It did not build."), RuntimeError("x"), KeyError("x")]
)
def test_what_fails_behind_it(caplog, error):
    def change(services):
        services.invocations = Failing(error)

    assert_same(caplog, call(), call(Prefer="wait=1", X_Request_ID="mine"), change=change)


@pytest.mark.parametrize("allowed", [True, False])
def test_calls_are_counted_and_the_answer_tells_how_many_are_left(caplog, allowed):
    def change(services):
        services.quotas = Limited(allowed=allowed)

    found = assert_same(caplog, call(), call(b"{}"), change=change)
    assert {status.split()[0] for status, *_ in found} == ({"202", "422"} if allowed else {"429"})
    assert all(("RateLimit-Limit", "5") in headers for _, headers, *_ in found)


def test_keys_are_asked_for_their_scope(caplog):
    def change(services):
        services.access, services.quotas = Keyed(), Limited(allowed=True)

    found = assert_same(caplog, call(Authorization="Bearer may"), call(Authorization="Bearer other"), change=change)
    assert [status.split()[0] for status, *_ in found] == ["202", "403"]


def test_the_usual_call_does_not_get_to_flask_and_the_unusual_does():
    made = app("fast")
    seen = []
    inner = made.wsgi_app._flask

    def flask(environ, start_response):
        seen.append(environ["PATH_INFO"])
        return inner(environ, start_response)

    made.wsgi_app._flask = flask
    client = made.test_client()
    assert client.post("/invoke", data=GOOD, headers=JSON).status_code == 202
    assert client.post("/invoke", data=b"{}", headers=JSON).status_code == 422
    assert not seen
    assert client.post("/invoke", data=GOOD, headers={**JSON, "Content-Encoding": "gzip"}).status_code == 415
    assert seen == ["/invoke"]


def test_what_is_logged_inside_has_the_requests_id(caplog):
    def change(services):
        services.invocations = Failing(DatabaseDown("x"))

    client = app("fast", change).test_client()
    with caplog.at_level(logging.INFO, "faas.web"):
        client.post("/invoke", data=GOOD, headers={**JSON, "X-Request-ID": "mine"})
    assert [one.fields["request_id"] for one in caplog.records] == ["mine", "mine"]
