"""The lean client against a real server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench.http import Connection, spread_over


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200 if self.path == "/" else 404)
        self.send_header("X-Said", self.headers.get("X-Say", ""))
        self.send_header("Content-Length", f"{len(body)}")
        if self.headers.get("X-Say") == "close":
            self.send_header("Connection", "close")
        self.end_headers()
        # In two parts, with the body cut.
        self.wfile.write(body[:3])
        self.wfile.flush()
        self.wfile.write(body[3:])

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_body_of_any_size_comes_whole(port: int) -> None:
    with Connection("127.0.0.1", port) as connection:
        for size in (0, 1, 5, 300_000):
            assert connection.call("POST", "/", b"x" * size) == (200, b"x" * size)


def test_a_connection_that_the_server_closes_is_opened_again(port: int) -> None:
    with Connection("127.0.0.1", port) as connection:
        assert connection.call("POST", "/", b"one", "X-Say: close\r\n") == (200, b"one")
        assert connection.call("POST", "/", b"two") == (200, b"two")


def test_another_status_than_the_expected_is_an_error_with_the_answer(port: int) -> None:
    with (
        Connection("127.0.0.1", port) as connection,
        pytest.raises(RuntimeError, match=r"POST /none was answered with 404: \[1, 2\]"),
    ):
        connection.json("POST", "/none", [1, 2])


def test_calls_are_spread_over_connections_and_their_results_are_in_order(port: int) -> None:
    connections = [Connection("127.0.0.1", port) for _ in range(3)]
    try:
        calls = [lambda one, number=number: one.json("POST", "/", number) for number in range(50)]
        assert spread_over(connections, calls) == list(range(50))
    finally:
        for connection in connections:
            connection.close()


def test_an_error_of_a_call_is_not_lost(port: int) -> None:
    with Connection("127.0.0.1", port) as connection, pytest.raises(RuntimeError, match="404"):
        spread_over([connection], [lambda one: one.json("POST", "/none", 1)])
