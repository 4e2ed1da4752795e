"""The client against a real HTTP server that answers what the test says."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from faas.cli.client import Client
from faas.errors import PlatformError


class Server(HTTPServer):
    """Answers by (method, path), and keeps what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[tuple[str, str], tuple[int, bytes]] = {}
        self.asked: list[tuple[str, str, object, str | None]] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append(
            (self.command, self.path, json.loads(body) if body else None, self.headers.get("Prefer"))
        )
        status, data = self.server.answers[self.command, self.path]
        self.send_response(status)
        self.send_header("Content-Length", f"{len(data)}")
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, *_):
        return


@pytest.fixture
def server():
    with Server() as one:
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield one
        one.shutdown()
        thread.join()


@pytest.fixture
def client(server):
    return Client(f"http://127.0.0.1:{server.server_port}")


def test_deploying_replaces_a_function_of_that_name(server, client):
    server.answers = {("DELETE", "/functions/one"): (404, b"{}"), ("POST", "/functions"): (201, b'{"id": "x"}')}
    assert client.deploy({"name": "one"}) == {"id": "x"}
    assert [(method, path) for method, path, _, _ in server.asked] == [
        ("DELETE", "/functions/one"),
        ("POST", "/functions"),
    ]


def test_invoking_waits_for_the_record(server, client):
    server.answers = {("POST", "/invoke"): (200, b'{"status": "succeeded"}')}
    assert client.invoke("one", [1]) == {"status": "succeeded"}
    assert server.asked == [("POST", "/invoke", {"function_id": "one", "payload": [1]}, "wait=60")]


def test_a_record_that_is_not_terminal_yet_is_asked_for_again(server, client):
    server.answers = {
        ("POST", "/invoke"): (202, b'{"id": "x", "status": "queued"}'),
        ("GET", "/invocations/x?wait=60"): (200, b'{"id": "x", "status": "failed"}'),
    }
    assert client.invoke("one", None)["status"] == "failed"


def test_when_the_time_is_over_the_record_is_given_as_it_is(server, client):
    server.answers = {("POST", "/invoke"): (202, b'{"id": "x", "status": "queued"}')}
    assert client.invoke("one", None, seconds=0) == {"id": "x", "status": "queued"}


def test_an_error_is_told_with_its_detail(server, client):
    server.answers = {("POST", "/invoke"): (409, b'{"detail": "it failed to build"}')}
    with pytest.raises(PlatformError, match=r"POST /invoke was answered with 409: .*it failed to build"):
        client.invoke("one", None)


@pytest.mark.parametrize("body", [b"<html>", b"[1]"])
def test_an_answer_that_is_no_record_is_an_error(server, client, body):
    server.answers = {("POST", "/invoke"): (200, body)}
    with pytest.raises(PlatformError, match="POST /invoke failed"):
        client.invoke("one", None)


def test_a_server_that_is_away_is_an_error(server, client):
    server.answers = {("POST", "/invoke"): (200, b"{}")}
    server.server_close()
    with pytest.raises(PlatformError, match="POST /invoke failed"):
        client.invoke("one", None)
