"""Clients that send a byte at a time are sent away, and nobody else notices them."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time

import pytest
from test_real_server import JSON, PATIENCE, request, server

from faas.web.slow_clients import LEAST_BYTES_PER_S, SlowClients

HEAD = b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"a" * 600
BODY = (
    b"POST /invoke HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n" + b" " * 600
)
CHUNKS = (
    b"POST /invoke HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"1\r\n \r\n" * 100
)
# A refused body is read to its end too, so that the answer gets to the client.
REFUSED = b"POST /invoke HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 5000\r\n\r\n" + b" " * 600


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    log = tmp_path_factory.mktemp("gunicorn") / "log"
    with server(log, SERVER_PATIENCE="1") as (port, _):
        yield port


def trickle(port, head, rest):
    """The head at once, the rest byte by byte until the server ends it: what came back."""
    with socket.create_connection(("127.0.0.1", port), timeout=0.2) as connection:
        connection.sendall(head)
        found, deadline = b"", time.monotonic() + PATIENCE
        for byte in rest:
            assert time.monotonic() < deadline, "the server goes on to listen"
            try:
                connection.sendall(bytes([byte]))
                piece = connection.recv(65536)
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                return found
            if not piece:
                return found
            found += piece
    raise AssertionError("all could be sent")


@pytest.mark.parametrize(
    ("text", "status"),
    [(HEAD, None), (BODY, 408), (CHUNKS, 408), (REFUSED, 415)],
    ids=["head", "body", "chunks", "refused"],
)
def test_a_client_that_sends_a_byte_at_a_time_is_sent_away(port, text, status):
    # The part in question alone is slow.
    cut = text.index(b"\r\n\r\n") + 4 if status else 0
    answers = []

    def slow():
        answers.append(trickle(port, text[:cut], text[cut:]))

    others = [threading.Thread(target=slow) for _ in range(8)]
    for other in others:
        other.start()
    # Meanwhile everybody else is served.
    for number in range(5):
        status_, _, body = request(
            port,
            "POST",
            "/invoke",
            json.dumps({"function_id": "fast", "payload": number}),
            {**JSON, "Prefer": "wait=20"},
        )
        assert (status_, json.loads(body)["result"]) == (200, number)
    for other in others:
        other.join(2 * PATIENCE)
    assert len(answers) == 8
    for answer in answers:
        assert answer == b"" if status is None else f" {status} ".encode() in answer.split(b"\r\n", 1)[0]


def test_a_body_that_comes_slowly_but_steadily_is_read(port):
    """Over the least rate, for several times the patience."""
    body = json.dumps({"function_id": "fast", "payload": "x" * (16 * LEAST_BYTES_PER_S)}).encode()

    def pieces():
        for start in range(0, len(body), 2 * LEAST_BYTES_PER_S):
            yield body[start : start + 2 * LEAST_BYTES_PER_S]
            time.sleep(0.5)

    assert request(port, "POST", "/invoke", pieces(), JSON)[0] == 202


def test_who_waits_for_an_answer_is_not_taken_for_slow(port):
    body = json.dumps({"function_id": "slow"})
    began = time.monotonic()
    assert request(port, "POST", "/invoke", body, {**JSON, "Prefer": "wait=4"})[0] == 202
    assert time.monotonic() - began > 3.5


def test_what_was_read_is_not_watched_any_more():
    clients = SlowClients(1.0)
    ours, theirs = socket.socketpair()
    with contextlib.closing(ours), contextlib.closing(theirs):
        reading = clients.head(ours)
        clients.look(10.0)
        clients.end(reading)
        clients.look(100.0)
        assert not reading.cut
        reading = clients.head(ours)
        clients.look(200.0)
        clients.look(200.9)
        assert not reading.cut
        clients.look(201.1)
        assert reading.cut
        assert ours.recv(1) == b""
