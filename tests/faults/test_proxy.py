"""The proxy spoils what it is told to, and nothing else: a fault suite is worth what its faults are."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator

import pytest
from e2e.cluster import eventually

from faults.proxy import DOWN, LOOPBACK, UP, Link, Proxy


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        try:
            while data := self.request.recv(4096):
                self.request.sendall(data)
        except OSError:
            pass


@pytest.fixture
def link() -> Iterator[Link]:
    with socketserver.ThreadingTCPServer((LOOPBACK, 0), _Echo) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        proxy = Proxy()
        try:
            yield proxy.link(server.server_address[1])
        finally:
            proxy.close()
            server.shutdown()
            thread.join()


def connect(link: Link) -> socket.socket:
    return socket.create_connection((LOOPBACK, link.port), timeout=30)


def echoes(link: Link) -> bool:
    try:
        with connect(link) as client:
            client.sendall(b"hello")
            return client.recv(100) == b"hello"
    except OSError:
        return False


def test_what_is_not_spoilt_passes(link: Link) -> None:
    assert echoes(link)
    link.spoil("latency")
    assert echoes(link)
    link.spoil("slow")
    assert echoes(link)


def test_a_stalled_direction_holds_what_comes_until_it_is_healed(link: Link) -> None:
    with connect(link) as client:
        client.sendall(b"one")
        assert client.recv(100) == b"one"
        link.stall(UP)
        client.sendall(b"two")
        eventually(lambda: link.held(UP) == b"two", "it is held")
        link.heal()
        assert client.recv(100) == b"two"
        link.stall(DOWN)
        client.sendall(b"three")
        eventually(lambda: link.held(DOWN) == b"three", "the reply is held")
        link.stall_at(UP, b"six")
        assert client.recv(100) == b"three"
        client.sendall(b"five")
        assert client.recv(100) == b"five"
        client.sendall(b"six")
        eventually(lambda: link.held(UP) == b"six", "it is held from the words on")
        link.reset()
        with pytest.raises(ConnectionResetError):
            client.recv(100)


def test_a_reset_is_a_reset_and_a_half_close_is_an_end(link: Link) -> None:
    with connect(link) as client:
        client.sendall(b"x")
        client.recv(1)
        link.half_close()
        assert client.recv(1) == b""
        link.reset()
        with pytest.raises(OSError):
            for _ in range(1000):
                client.sendall(b"x" * 10000)


def test_a_link_that_refuses_or_cuts_works_again_when_it_is_healed(link: Link) -> None:
    link.spoil("refuse")
    assert not echoes(link)
    link.spoil("cut")
    assert not all(echoes(link) for _ in range(10))
    link.heal()
    assert echoes(link)
