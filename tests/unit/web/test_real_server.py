"""The HTTP side in gunicorn, with the settings that it is run with: what a test client can't show."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PATIENCE = 60


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def start(log, **environ):
    variables = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PORT", "WEB_CONCURRENCY", "GUNICORN_CMD_ARGS")
    }
    variables |= {"PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parents[2]}", **environ}
    command = [sys.executable, "-m", "gunicorn", "-c", "python:faas.web.gunicorn", "gunicorn_app:make()"]
    return subprocess.Popen(command, env=variables, cwd=HERE, stdout=log, stderr=log)


@pytest.fixture(scope="module")
def log_file(tmp_path_factory):
    return tmp_path_factory.mktemp("gunicorn") / "log"


@contextmanager
def server(log_file, **environ):
    """A running server: its port and its process."""
    port = free_port()
    with log_file.open("wb") as log:
        process = start(log, SERVER_ADDR=f"127.0.0.1:{port}", **environ)
    deadline = time.monotonic() + PATIENCE
    try:
        while True:
            try:
                assert request(port, "GET", "/health/live")[0] == 200
                break
            except OSError:
                assert process.poll() is None, log_file.read_text()
                assert time.monotonic() < deadline, log_file.read_text()
                time.sleep(0.1)
        yield port, process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


@pytest.fixture(scope="module")
def port(log_file):
    with server(log_file) as (port, _):
        yield port


def request(port, method, path, body=None, headers=()):
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        return response.status, response.headers, response.read()


def raw(port, *pieces):
    """Everything that comes back for bytes as they are; the last piece must make the server close the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        for piece in pieces:
            connection.sendall(piece)
        found = b""
        while piece := connection.recv(65536):
            found += piece
        return found


JSON = {"Content-Type": "application/json"}


def test_invoke_and_wait_over_a_kept_connection(port):
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        for number in range(5):
            connection.request(
                "POST", "/invoke", json.dumps({"function_id": "fast", "payload": number}), {**JSON, "Prefer": "wait=20"}
            )
            response = connection.getresponse()
            assert response.status == 200
            assert json.loads(response.read())["result"] == number


def test_requests_that_are_sent_at_once_are_answered_in_turn(port):
    one = b"GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n"
    answer = raw(port, one % (b"/health/live", b""), one % (b"/functions/none", b"Connection: close\r\n"))
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"404"]


def test_requests_that_are_sent_at_once_are_not_waited_for(port):
    one = b"GET /health/live HTTP/1.1\r\nHost: x\r\n%s\r\n"
    took = []
    for _ in range(3):
        began = time.monotonic()
        assert raw(port, one % b"" * 40, one % b"Connection: close\r\n").count(b"HTTP/1.1 200") == 41
        took.append(time.monotonic() - began)
    # A wait for what is there already would be a tenth of a second for each.
    assert min(took) < 3


def test_more_kept_connections_than_threads_that_stay_with_one_are_all_served(port):
    # 600 threads, half of which may wait for what a client asks next.
    with ExitStack() as stack:
        connections = [
            stack.enter_context(closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)))
            for _ in range(400)
        ]
        for _ in range(2):
            for connection in connections:
                connection.request("GET", "/health/live")
            assert {connection.getresponse().read() for connection in connections} == {b'{"status":"ok"}'}


def test_a_chunked_body_is_read(port):
    pieces = iter([b'{"function_id": ', b'"fast", "payload": 5}'])
    status, _, body = request(port, "POST", "/invoke", pieces, JSON)
    assert (status, json.loads(body)["payload"]) == (202, 5)


def test_a_chunked_body_over_the_limit_is_413(port):
    head = b"POST /invoke HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    piece = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
    answer = raw(port, head, *[piece] * 20, b"0\r\n\r\n")
    assert b" 413 " in answer.split(b"\r\n", 1)[0]
    assert b"application/problem+json" in answer


@pytest.mark.parametrize(
    ("head", "rest"),
    [
        # Whole as JSON, and not all that was announced.
        ("Content-Length: 100", b'{"function_id": "fast"}'),
        ("Transfer-Encoding: chunked", b'17\r\n{"function_id": "fast"}'),
        ("Transfer-Encoding: chunked", b'17\r\n{"function_id": "fast"}\r\n'),
        ("Transfer-Encoding: chunked", b'17\r\n{"function_id": "fast"}XX0\r\n\r\n'),
        ("Transfer-Encoding: chunked", b'zz\r\n{"function_id": "fast"}\r\n0\r\n\r\n'),
    ],
)
def test_a_body_that_is_not_whole_is_400_and_has_no_effect(port, head, rest):
    before = json.loads(request(port, "GET", "/invocations?limit=200")[2])["items"]
    start = f"POST /invoke HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{head}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(start + rest)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(65536)
    assert b" 400 " in answer.split(b"\r\n", 1)[0], answer
    assert b"application/problem+json" in answer
    assert json.loads(request(port, "GET", "/invocations?limit=200")[2])["items"] == before


def test_an_announced_body_over_the_limit_is_413_and_the_client_can_read_it(port):
    status, headers, body = request(port, "POST", "/invoke", b" " * (21 << 20), JSON)
    assert (status, headers["Content-Type"], json.loads(body)["status"]) == (413, "application/problem+json", 413)


def test_fifty_waiting_and_stalled_clients_do_not_delay_another(port):
    head = b"POST /invoke HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    stalled = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) for _ in range(50)]
    try:
        for number, connection in enumerate(stalled):
            connection.sendall(head if number % 2 else head[:40])
        with ThreadPoolExecutor(30) as pool:
            ids = [
                json.loads(request(port, "POST", "/invoke", '{"function_id": "slow"}', JSON)[2])["id"]
                for _ in range(30)
            ]
            waiting = [pool.submit(request, port, "GET", f"/invocations/{id_}?wait=60") for id_ in ids]
            time.sleep(0.5)
            assert request(port, "GET", "/health/live")[0] == 200
            assert not any(one.done() for one in waiting)
            for id_ in ids:
                assert request(port, "POST", f"/invocations/{id_}/cancel")[0] == 202
            assert {json.loads(one.result(PATIENCE)[2])["status"] for one in waiting} == {"cancelled"}
    finally:
        for connection in stalled:
            connection.close()


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nBad Name: 1\r\n\r\n",
        b"POST /invoke HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /invoke HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: 1\r\n" * 200 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 20_000 + b"\r\n\r\n",
    ],
    ids=[
        "nonsense",
        "version",
        "header name",
        "two lengths",
        "negative length",
        "long line",
        "many headers",
        "long header",
    ],
)
def test_malformed_http_is_a_4xx_without_a_stack_trace(port, request_bytes):
    answer = raw(port, request_bytes)
    assert re.match(rb"HTTP/1\.[01] (4\d\d|505) ", answer), answer[:200]
    assert b"Traceback" not in answer
    # As for every other answer: a problem document, safe headers, nothing of what was sent.
    head, _, body = answer.partition(b"\r\n\r\n")
    assert json.loads(body)["status"] == int(answer.split()[1])
    assert b"X-Content-Type-Options: nosniff" in head
    assert b"frame-ancestors 'none'" in head
    assert b"xxx" not in answer
    assert request(port, "GET", "/health/live")[0] == 200


def test_no_answer_tells_a_version_of_the_server(port):
    for path in ("/functions", "/nowhere", "/docs", "/static/style.css"):
        _, headers, _ = request(port, "GET", path)
        assert headers["Server"] == "gunicorn"
        assert "X-Powered-By" not in headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("method", "path", "media_type", "status"),
    [
        ("POST", "/invoke", "text/plain", 415),
        ("POST", "/nowhere", "application/json", 404),
        ("PATCH", "/functions", "", 405),
    ],
)
def test_a_refused_body_does_not_lose_the_answer(port, method, path, media_type, status):
    answer = request(port, method, path, b" " * (5 << 20), {"Content-Type": media_type})
    assert answer[0] == status


def test_the_log_is_json_lines(port, log_file):
    request(port, "GET", "/nowhere%0d%0aforged", headers={"X-Request-ID": "seen-in-the-log"})
    deadline = time.monotonic() + PATIENCE
    while b"seen-in-the-log" not in log_file.read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for line in log_file.read_text().splitlines():
        assert isinstance(json.loads(line), dict)


def test_nothing_that_a_client_sends_leaves_its_line_of_the_log(port, log_file):
    ansi = b"\x1b[2J\x1b]0;forged\x07"
    lines = log_file.read_bytes().count(b"\n")
    for request_bytes in (
        b"GET /" + ansi + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Request-ID: " + ansi + b"\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-" + ansi + b": 1\r\n\r\n",
        b"GET /functions/%1b%5b2J%0d%0a%7b%22level%22 HTTP/1.1\r\nHost: x\r\nUser-Agent: a\rb"
        + ansi
        + b"\r\nConnection: close\r\n\r\n",
        ansi + b"\r\n\r\n",
    ):
        raw(port, request_bytes)
    deadline = time.monotonic() + PATIENCE
    while log_file.read_bytes().count(b"\n") < lines + 5:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    said = log_file.read_bytes()
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f-\xff]", said)
    assert all(isinstance(json.loads(line), dict) for line in said.splitlines())


def test_a_setting_that_cant_be_right_stops_the_start_with_one_line(tmp_path):
    with (tmp_path / "log").open("wb") as log:
        process = start(log, SERVER_ADDR="127.0.0.1:99999")
        assert process.wait(PATIENCE) != 0
    text = (tmp_path / "log").read_text()
    assert "SERVER_ADDR" in text
    assert len(text.strip().splitlines()) == 1


def test_a_server_that_stops_answers_those_who_wait(tmp_path):
    with server(tmp_path / "log") as (port, process), ThreadPoolExecutor(2) as pool:
        id_ = json.loads(request(port, "POST", "/invoke", '{"function_id": "slow"}', JSON)[2])["id"]
        held = pool.submit(request, port, "GET", f"/invocations/{id_}?wait=60")
        preferred = pool.submit(
            request, port, "POST", "/invoke", '{"function_id": "slow"}', {**JSON, "Prefer": "wait=60"}
        )
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        assert (held.result(PATIENCE)[0], json.loads(held.result()[2])["status"]) == (200, "queued")
        assert (preferred.result(PATIENCE)[0], json.loads(preferred.result()[2])["status"]) == (202, "queued")
        assert process.wait(PATIENCE) == 0


def test_a_server_that_stops_ends_followed_logs_without_an_end_of_the_invocation(tmp_path):
    with server(tmp_path / "log") as (port, process), ThreadPoolExecutor(1) as pool:
        id_ = json.loads(request(port, "POST", "/invoke", '{"function_id": "slow"}', JSON)[2])["id"]
        followed = pool.submit(request, port, "GET", f"/invocations/{id_}/logs?follow=true")
        time.sleep(1)
        assert not followed.done()
        process.send_signal(signal.SIGTERM)
        status, headers, body = followed.result(PATIENCE)
        assert (status, headers["Content-Type"]) == (200, "text/event-stream")
        assert body.startswith(b": following\nretry: ")
        assert b"event: end" not in body
        assert process.wait(PATIENCE) == 0
