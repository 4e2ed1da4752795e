"""A lean HTTP client: its own time is part of every figure, so it does no more than it must (a tenth of a millisecond less than http.client)."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_SECONDS = 120.0
# gunicorn closes a connection that was idle for 15 s; one that may be closed soon is not used again.
_FRESH_SECONDS = 5.0


class Connection:
    """One kept-alive connection to a controller. Not for threads to share."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._socket: socket.socket | None = None
        self._used = 0.0

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; a later call opens it again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def call(self, method: str, path: str, body: bytes = b"", headers: str = "") -> tuple[int, bytes]:
        """A request.

        Args:
            headers: further lines, each ended by CRLF.

        Returns:
            The status, and the body.

        Raises:
            OSError: the connection failed.
        """
        head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        connection = self._connected()
        try:
            connection.sendall(head.encode() + body)
            status, answer, goes_on = _read(connection)
        except BaseException:
            self.close()
            raise
        if not goes_on:
            self.close()
        self._used = time.monotonic()
        return status, answer

    def json(self, method: str, path: str, body: Any = None, headers: str = "", expected: int = 200) -> Any:
        """A request with a JSON body, and its JSON answer. Raises RuntimeError where the status is another one than expected."""
        status, answer = self.call(method, path, b"" if body is None else json.dumps(body).encode(), headers)
        if status != expected:
            raise RuntimeError(f"{method} {path} was answered with {status}: {answer[:400].decode(errors='replace')}")
        return json.loads(answer) if answer else None

    def _connected(self) -> socket.socket:
        if self._socket is not None and time.monotonic() - self._used > _FRESH_SECONDS:
            self.close()
        if self._socket is None:
            self._socket = socket.create_connection(self._address, timeout=_SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket


def spread_over(connections: Sequence[Connection], calls: Sequence[Callable[[Connection], Any]]) -> list[Any]:
    """Make the calls, each connection taking the next one as soon as it is free; their results in order."""
    left = iter(list(enumerate(calls)))
    results: list[Any] = [None] * len(calls)

    def work(connection: Connection) -> None:
        # The iterator of a list is safe among threads: each takes another one.
        for number, call in left:
            results[number] = call(connection)

    with ThreadPoolExecutor(len(connections)) as pool:
        list(pool.map(work, connections))
    return results


def _read(connection: socket.socket) -> tuple[int, bytes, bool]:
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0:
        data += _more(connection)
    head = data[:end].lower()
    length = int(_header(head, b"content-length") or 0)
    body = data[end + 4 :]
    while len(body) < length:
        body += _more(connection)
    return int(head[9:12]), body, _header(head, b"connection") != b"close"


def _header(head: bytes, name: bytes) -> bytes | None:
    mark = b"\r\n" + name + b":"
    start = head.find(mark)
    return None if start < 0 else head[start + len(mark) :].split(b"\r\n", 1)[0].strip()


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionError("the controller closed the connection in the middle of an answer")
    return data
