"""What holds for every request: media types, sizes, problems, headers, the request's id, the log."""

from __future__ import annotations

import gzip
import io
import json
import logging

import pytest

from faas.domain.function import MIB
from faas.errors import BrokerDown, DatabaseDown, PlatformError, StorageError
from faas.web.body import DISCARD_BYTES, INVOKE_BODY_BYTES

BODY_ROUTES = [("POST", "/functions"), ("PUT", "/functions/hello"), ("POST", "/invoke")]


@pytest.mark.parametrize(("method", "path"), BODY_ROUTES)
@pytest.mark.parametrize(
    "media_type",
    [
        None,
        "",
        "text/plain",
        "text/json",
        "application/problem+json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
    ],
)
def test_another_media_type_is_415(client, create, is_problem, method, path, media_type):
    create()
    is_problem(client.open(path, method=method, data=b"{}", content_type=media_type), 415)


@pytest.mark.parametrize(
    "media_type",
    ["application/json", "Application/JSON", "application/json; charset=utf-8", 'application/json;charset="UTF-8"'],
)
def test_parameters_of_the_media_type_are_fine(client, create, media_type):
    create()
    assert (
        client.post(
            "/invoke", data='{"function_id": "hello", "payload": "naïve ☂"}'.encode(), content_type=media_type
        ).status_code
        == 202
    )


def test_a_packed_body_is_415_and_not_unpacked(client, create, services, is_problem):
    create()
    bomb = gzip.compress(b'{"function_id": "hello"}' + b" " * 10 * MIB)
    is_problem(
        client.post("/invoke", data=bomb, content_type="application/json", headers={"Content-Encoding": "gzip"}), 415
    )
    assert not services.invocations.stored


@pytest.mark.parametrize(("method", "path"), BODY_ROUTES)
@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b'{"name": "a", "name": "b"}', b"[" * 10_000, b"NaN", b'{"name": "\xff"}', b"\xef\xbb\xbf{}"],
    ids=lambda raw: repr(raw[:20]),
)
def test_what_is_not_json_is_a_400_problem(client, create, services, is_problem, method, path, raw):
    before = create()
    is_problem(client.open(path, method=method, data=raw, content_type="application/json"), 400)
    assert client.get("/functions").json["items"] == [before]
    assert not services.invocations.stored


class Endless(io.RawIOBase):
    """A body without an end, which counts what was taken of it."""

    taken = 0

    def readinto(self, buffer):
        buffer[:] = b" " * len(buffer)
        self.taken += len(buffer)
        return len(buffer)

    def readable(self):
        return True


def test_a_body_over_the_limit_is_413_with_and_without_a_length(client, create, is_problem):
    create()
    is_problem(client.post("/invoke", data=b" " * (INVOKE_BODY_BYTES + 1), content_type="application/json"), 413)
    endless = Endless()
    response = client.post(
        "/invoke",
        content_type="application/json",
        environ_overrides={"wsgi.input": endless, "wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
    )
    is_problem(response, 413)
    assert endless.taken <= INVOKE_BODY_BYTES + DISCARD_BYTES + MIB


def test_a_body_that_ends_too_early_is_400(client, create, is_problem):
    create()
    short = {"wsgi.input": io.BytesIO(b'{"function_id": "hello"}'), "CONTENT_LENGTH": "100"}
    is_problem(client.post("/invoke", content_type="application/json", environ_overrides=short), 400)


def test_a_body_that_stops_arriving_is_408(client, create, is_problem):
    class Silent(io.RawIOBase):
        def readinto(self, buffer):
            raise BlockingIOError(11, "Resource temporarily unavailable")

        def readable(self):
            return True

    create()
    response = client.post(
        "/invoke", content_type="application/json", environ_overrides={"wsgi.input": Silent(), "CONTENT_LENGTH": "10"}
    )
    is_problem(response, 408)


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/functions/a/b/c",
        "/invocations/x/y",
        "/invoke/x",
        "/health/nothing",
        "/functions/",
        "/functions//hello",
        "/static/../x",
        "/%ff",
    ],
)
def test_an_unknown_path_is_a_404_problem(client, is_problem, path):
    is_problem(client.get(path), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/functions/x", "DELETE"),
        ("DELETE", "/functions", "POST"),
        ("GET", "/invoke", "POST"),
        ("POST", "/health", "GET"),
        ("TRACE", "/", "GET"),
        ("PURGE", "/", "GET"),
    ],
)
def test_a_wrong_method_is_405_with_allow(client, is_problem, method, path, allowed):
    response = client.open(path, method=method)
    is_problem(response, 405)
    assert allowed in response.headers["Allow"]


def test_head_and_options_are_answered(client):
    head, get = client.head("/health"), client.get("/health")
    assert (head.status_code, head.data, head.headers["Content-Length"]) == (200, b"", get.headers["Content-Length"])
    assert "POST" in client.options("/functions").headers["Allow"]


@pytest.mark.parametrize("error", [DatabaseDown, BrokerDown, StorageError, PlatformError])
def test_a_platform_error_is_503_with_a_time_to_come_back(client, services, monkeypatch, is_problem, error):
    def fail(ref, namespace):
        raise error("postgresql://user:secret@host/db")

    monkeypatch.setattr(services.functions, "get", fail)
    response = client.get("/functions/x")
    is_problem(response, 503)
    assert 1 <= int(response.headers["Retry-After"]) <= 5
    assert "secret" not in response.text


def test_anything_else_is_500_and_its_reason_is_in_the_log_alone(client, services, monkeypatch, is_problem, caplog):
    def fail(ref, namespace):
        raise RuntimeError("the secret inside")

    monkeypatch.setattr(services.functions, "get", fail)
    response = client.get("/functions/x", headers={"X-Request-ID": "trace-7"})
    is_problem(response, 500)
    assert "secret" not in response.text
    (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert record.fields["request_id"] == "trace-7"
    assert "the secret inside" in caplog.text


@pytest.mark.parametrize("path", ["/functions", "/nowhere", "/docs", "/"])
def test_every_answer_has_the_safe_headers(client, path):
    headers = client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script" not in policy
    assert "unsafe" not in policy


def test_a_request_has_an_id_its_own_or_a_new_one(client):
    assert client.get("/health", headers={"X-Request-ID": "abc-1.2_3"}).headers["X-Request-ID"] == "abc-1.2_3"
    for hostile in ["a b", "x" * 200, "<script>", "é", ""]:
        made = client.get("/health", headers={"X-Request-ID": hostile}).headers["X-Request-ID"]
        assert len(made) == 36


def test_a_request_leaves_one_line_with_the_invocations_id(client, create, caplog):
    create()
    caplog.clear()
    with caplog.at_level(logging.INFO, "faas.web"):
        made = client.post("/invoke", json={"function_id": "hello"})
    (record,) = caplog.records
    fields = record.fields
    assert (fields["method"], fields["route"], fields["status"]) == ("POST", "/invoke", 202)
    assert fields["invocation_id"] == made.json["id"]
    assert fields["request_id"] == made.headers["X-Request-ID"]


def test_health_is_503_when_a_check_fails(client, services):
    assert client.get("/health").json == {
        "status": "ok",
        "checks": {"database": "ok", "broker": "ok", "storage": "ok", "workers": "ok"},
    }
    services.health.checks["broker"] = "does not answer"
    response = client.get("/health")
    assert (response.status_code, response.json["status"], response.json["checks"]["broker"]) == (
        503,
        "degraded",
        "does not answer",
    )
    assert client.get("/health/live").status_code == 200


def test_answers_are_json_in_ascii(client, create):
    create(version="☂")
    response = client.get("/functions/hello")
    assert response.data.isascii()
    assert json.loads(response.data)["version"] == "☂"
