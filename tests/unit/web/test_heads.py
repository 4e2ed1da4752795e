"""What is read of a connection at the speed of C is what gunicorn's own parser reads of it, and whatever is not usual is gunicorn's."""

from __future__ import annotations

import socket
from contextlib import closing

import pytest
from gunicorn.config import Config
from gunicorn.http import wsgi
from gunicorn.http.parser import RequestParser
from hypothesis import given, settings
from hypothesis import strategies as st

from faas.web.heads import Following, Usual

CLIENT, SERVER = ("127.0.0.1", 50000), ("127.0.0.1", 8080)
OPENING = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
BODY = b'{"function_id": "f"}'
# What differs by nature, or says nothing of the request.
LEFT_OUT = {"wsgi.input", "wsgi.errors", "wsgi.early_hints", "gunicorn.socket"}


def config():
    found = Config()
    found.set("limit_request_line", 8190)
    return found


def environ_of(request, ours, cfg):
    if isinstance(request, Usual):
        return request.environ
    return wsgi.create(request, ours, CLIENT, SERVER, cfg)[1]


def read(sent, parser_of):
    """What a parser makes of bytes that follow a first request: every request's environment and body, and how it ended."""
    cfg, found = config(), []
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        theirs.sendall(OPENING)
        first = RequestParser(cfg, ours, CLIENT)
        opening = environ_of(next(first), ours, cfg)
        parser = parser_of(first, opening)
        theirs.sendall(sent)
        theirs.shutdown(socket.SHUT_WR)
        try:
            for request in parser:
                environ = environ_of(request, ours, cfg)
                kept = {key: value for key, value in environ.items() if key not in LEFT_OUT}
                found.append((kept, environ["wsgi.input"].read(), request.should_close()))
        except Exception as error:
            found.append(type(error).__name__)
    return found


def assert_same(sent):
    assert read(sent, Following) == read(sent, lambda first, _: first)


def post(*fields, body=BODY, target=b"/invoke", length=None):
    lines = [
        b"POST " + target + b" HTTP/1.1",
        *fields,
        b"Content-Length: %d" % (len(body) if length is None else length),
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    "sent",
    [
        post(b"Host: x", b"Content-Type: application/json"),
        post(b"Host: 127.0.0.1:8080", b"Accept: */*", b"User-Agent: curl/8.5.0", b"Content-Type: application/json"),
        post(b"host: x", b"accept-encoding: gzip, deflate", b"connection: keep-alive", b"prefer: wait=30"),
        post(b"Host: x", b"X-Empty:", b"X-Tab:\tone\t"),
        post(b"Host: x", body=b""),
        b"GET /invocations?limit=5&cursor=abc HTTP/1.1\r\nHost: x\r\n\r\n",
        b"DELETE /functions/f HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_usual_requests_are_read_here_as_gunicorn_reads_them(sent):
    assert_same(sent)
    assert_same(sent + sent + OPENING)
    seen = []

    class Seeing(Following):
        def __next__(self):
            seen.append(super().__next__())
            return seen[-1]

    read(sent, Seeing)
    assert [type(one) for one in seen] == [Usual]
    assert seen[0].is_read


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\r\n" + OPENING,
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: x\r\n\r\n",
        b"GET //a HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /a%2fb?c#d HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\x80 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"get / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nX_Under: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX-A: \x01\r\n\r\n",
        b"GET / HTTP/1.1\r\nX-A: \xe4\r\n\r\n",
        b"GET / HTTP/1.1\r\nX-A: 1\r\nX-A: 2\r\nx-a: 3\r\n\r\n",
        b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n" + OPENING,
        b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"GET / HTTP/1.1\r\nX-Forwarded-Proto: https\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X-%d: 1\r\n" * 101 % tuple(range(101)) + b"\r\n",
        b"GET / HTTP/1.1\r\n" + b"X-%d: 1\r\n" * 100 % tuple(range(100)) + b"\r\n",
        b"GET /" + b"x" * 8190 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 8190 + b"\r\n\r\n",
        post(b"Transfer-Encoding: chunked"),
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + OPENING,
        post(b"Content-Length: 20"),
        post(b"Content-Length: 5"),
        b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n12345",
        b"POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n12345",
        b"POST / HTTP/1.1\r\nContent-Length:\r\n\r\n",
        post(length=100),
        post(b"Expect: 100-continue"),
        post(b"Expect: something"),
        post(body=b"x" * 100_000) + OPENING,
    ],
)
def test_the_unusual_is_gunicorns(sent):
    assert_same(sent)


FIELDS = [
    b"Host: x",
    b"Host: y",
    b"Content-Length: 0",
    b"Content-Length: 3",
    b"Content-Length: 03",
    b"Content-Length: 3x",
    b"Content-Type: text/plain",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: identity",
    b"Connection: keep-alive",
    b"Connection: Keep-Alive",
    b"Connection: close",
    b"X-A: b",
    b"x-a : b",
    b"X-A:b\tc ",
    b" X-A: b",
    b"X-A",
    b": b",
    b"",
    b"SCRIPT_NAME: /a",
    b"Script-Name: /a",
    b"TE: trailers",
]


@given(
    method=st.sampled_from([b"GET", b"POST", b"HEAD", b"OPTIONS", b"Get", b"G"]),
    target=st.sampled_from([b"/", b"/a/b?c=d", b"/?", b"//", b"*", b"http://x/a", b"/a%20b", b"/.."]),
    version=st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.1 "]),
    fields=st.lists(st.sampled_from(FIELDS), max_size=5),
    end=st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n"]),
    rest=st.sampled_from([b"", b"abc", b"abc" + OPENING, b"3\r\nabc\r\n0\r\n\r\n", OPENING]),
)
@settings(max_examples=400, deadline=None)
def test_heads_of_any_pieces_are_read_alike(method, target, version, fields, end, rest):
    assert_same(end.join([b" ".join([method, target, version]), *fields, b"", b""]) + rest)


def test_a_body_that_comes_in_pieces_is_whole():
    cfg = config()
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        theirs.sendall(OPENING)
        first = RequestParser(cfg, ours, CLIENT)
        parser = Following(first, environ_of(next(first), ours, cfg))
        sent = post(b"Host: x")
        theirs.sendall(sent[: -len(BODY)])
        request = next(parser)
        assert isinstance(request, Usual)
        # What is not here yet may come slowly, and is watched.
        assert not request.is_read
        assert request.environ["gunicorn.socket"] is ours
        theirs.sendall(BODY[:4])
        theirs.sendall(BODY[4:] + OPENING)
        assert request.body.read() == BODY
        assert next(parser).environ["PATH_INFO"] == "/health/live"


def test_no_memory_is_taken_for_a_length_that_is_only_claimed():
    cfg, asked = config(), []
    ours, theirs = socket.socketpair()

    class Asked:
        def fileno(self):
            return ours.fileno()

        def recv(self, most):
            asked.append(most)
            return ours.recv(most)

    with closing(ours), closing(theirs):
        theirs.sendall(OPENING)
        first = RequestParser(cfg, ours, CLIENT)
        parser = Following(first, environ_of(next(first), ours, cfg))
        theirs.sendall(b"POST /invoke HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n")
        # The head by itself, then the first byte of the body.
        parser.unreader.unread(ours.recv(65536))
        theirs.sendall(b"{")
        parser.unreader.sock = Asked()
        request = next(parser)
        assert isinstance(request, Usual)
        assert not request.is_read
        assert max(asked) <= 1024 * 1024
