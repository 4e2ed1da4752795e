"""What the client makes of a controller that refuses, breaks off or is away: a server that does so on purpose."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from faas.client import (
    AsyncClient,
    Client,
    ConnectionFailed,
    NotFound,
    ProblemError,
    TooManyRequests,
    Unavailable,
)

RECORD = {"id": "an-id", "status": "succeeded", "result": 7, "function_name": "f"}
Answer = tuple[int, dict[str, str], Any]


class Troubled(ThreadingHTTPServer):
    """Gives the answers that it was told, in order, and the last one for ever. None breaks the connection off."""

    daemon_threads = True

    def __init__(self, answers: list[Answer | None]) -> None:
        self.answers = answers
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def keys(self) -> set[str | None]:
        """The Idempotency-Keys that came."""
        return {headers.get("idempotency-key") for _, _, headers in self.requests}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Troubled

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        heard = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.command, self.path, heard))
        answers = self.server.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer is None:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        status, headers, body = answer
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = _answer

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def troubled() -> Iterator[Callable[[list[Answer | None]], Troubled]]:
    made: list[Troubled] = []

    def make(answers: list[Answer | None]) -> Troubled:
        server = Troubled(answers)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        made.append(server)
        return server

    yield make
    for server in made:
        server.shutdown()
        server.server_close()


def problem(status: int, **headers: str) -> Answer:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, names, {"title": "T", "status": status, "detail": "D"}


Make = Callable[[list[Answer | None]], Troubled]


@pytest.mark.parametrize("trouble", [problem(502), problem(503), problem(504), problem(429), None])
def test_an_invocation_is_sent_again_under_the_same_key(troubled: Make, trouble: Answer | None) -> None:
    server = troubled([trouble, trouble, (202, {}, RECORD)])
    with Client(server.url) as client:
        assert client.invoke("f").result() == 7
    assert len(server.requests) == 3
    assert len(server.keys) == 1
    assert None not in server.keys


def test_a_server_that_says_when_is_not_asked_before(troubled: Make) -> None:
    server = troubled([problem(503, Retry_After="1"), (202, {}, RECORD)])
    began = time.monotonic()
    with Client(server.url) as client:
        client.invoke("f")
    assert time.monotonic() - began >= 1


def test_what_is_no_passing_trouble_is_raised_at_once(troubled: Make) -> None:
    server = troubled([problem(404)])
    with Client(server.url) as client, pytest.raises(NotFound, match="404 T: D"):
        client.invoke("f")
    assert len(server.requests) == 1


def test_after_the_last_try_the_refusal_is_raised(troubled: Make) -> None:
    server = troubled([problem(503)])
    with Client(server.url, retries=2) as client, pytest.raises(Unavailable):
        client.invoke("f")
    assert len(server.requests) == 3


@pytest.mark.parametrize(("trouble", "kind"), [(problem(503), Unavailable), (None, ConnectionFailed)])
def test_what_might_be_done_twice_is_not_sent_again(
    troubled: Make, trouble: Answer | None, kind: type[Exception]
) -> None:
    server = troubled([trouble])
    with Client(server.url) as client, pytest.raises(kind):
        client.functions.create("f", "python", "x")
    assert len(server.requests) == 1


def test_what_was_refused_for_its_rate_was_not_done_and_is_sent_again(troubled: Make) -> None:
    server = troubled([problem(429)])
    with Client(server.url, retries=1) as client, pytest.raises(TooManyRequests):
        client.functions.create("f", "python", "x")
    assert len(server.requests) == 2


def test_nobody_there_is_told_with_the_address() -> None:
    with socket.socket() as taken:
        # Bound and not listening: nobody else gets the port, and nobody answers.
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with Client(url, retries=1) as client, pytest.raises(ConnectionFailed, match=f"GET {url}/health"):
            client.request("GET", "/health")


def test_an_address_that_is_none_is_told() -> None:
    with Client("ftp://127.0.0.1") as client, pytest.raises(ConnectionFailed, match="ftp"):
        client.request("GET", "/health")


def test_a_key_is_sent_as_a_bearer_and_the_environment_names_what_is_left_out(
    troubled: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = troubled([(200, {}, {})])
    monkeypatch.setenv("FAAS_URL", f"{server.url}/")
    monkeypatch.setenv("FAAS_API_KEY", "secret")
    with Client() as client:
        client.request("GET", "/health")
    ((_, path, headers),) = server.requests
    assert (path, headers["authorization"]) == ("/health", "Bearer secret")


def test_a_proxys_page_is_an_error_like_any_other(troubled: Make) -> None:
    server = troubled([(500, {}, "<html>")])
    with Client(server.url) as client, pytest.raises(ProblemError, match="HTTP 500"):
        client.request("GET", "/x")


def test_the_client_for_asyncio_tries_again_as_well(troubled: Make) -> None:
    server = troubled([problem(503), None, (202, {}, RECORD)])

    async def go() -> Any:
        async with AsyncClient(server.url) as client:
            return await client.call("f", wait=10)

    assert asyncio.run(go()) == 7
    assert len(server.keys) == 1


def test_a_followed_log_goes_on_where_its_connection_broke(troubled: Make) -> None:
    line = '{"time": "2030-01-01T00:00:00.000Z", "stream": "stdout", "text": "%s"}'
    parts = [
        f"id: 1:2\nevent: log\ndata: {line % 'a'}\n\nid: 1:4\nevent: log\n",
        f': comment\n\nid: 1:4\nevent: log\ndata: {line % "b"}\n\nevent: end\ndata: {{"status": "succeeded"}}\n\n',
    ]
    server = troubled([(200, {}, part.encode()) for part in parts])
    with Client(server.url) as client:
        assert [one.text for one in client.handle("an-id").logs(follow=True)] == ["a", "b"]
    assert [headers.get("last-event-id") for _, _, headers in server.requests] == [None, "1:2"]
