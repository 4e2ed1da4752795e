"""The host's end of one sandbox: its socket and its two output streams, served by one poll loop that never waits past a deadline."""

from __future__ import annotations

import enum
import math
import os
import select
import socket
import time
from collections.abc import Mapping
from typing import Any

from faas.errors import SandboxError
from faas.sandbox.log import Log
from faas.sandbox.protocol import Decoder

_CHUNK = 256 * 1024
# A pipe holds 64 KiB, and no user but root can make it hold more than 1 MiB: what was printed before an answer is within that.
_PIPE_BYTES = 1024 * 1024


class Silence(enum.Enum):
    """Why no answer came."""

    EXPIRED = "the deadline passed"
    CLOSED = "the agent's connection was closed"


class Channel:
    """Sends a frame and waits for the one that answers it, while it drains what is printed.

    Args:
        connection: non-blocking, connected to the agent; closed by `close`.
        streams: names to descriptors of the streams, non-blocking; they stay the exchange's.
    """

    def __init__(self, connection: socket.socket, streams: Mapping[str, int]) -> None:
        self._socket = connection
        self._streams = {descriptor: name for name, descriptor in streams.items()}
        self._decoder = Decoder()

    def talk(self, frame: bytes, deadline: float, log: Log) -> dict[str, Any] | Silence:
        """One exchange.

        Args:
            frame: what is sent first; empty to listen only.
            deadline: of `time.monotonic`.
            log: takes what is printed until the answer came.

        Raises:
            SandboxError: the agent broke the protocol.
        """
        rest = memoryview(frame)
        poller = select.poll()
        for descriptor in self._streams:
            poller.register(descriptor, select.POLLIN)
        poller.register(self._socket, select.POLLIN | (select.POLLOUT if rest else 0))
        answer: dict[str, Any] | Silence | None = None
        while answer is None:
            left = deadline - time.monotonic()
            if left <= 0:
                answer = Silence.EXPIRED
                break
            for descriptor, event in poller.poll(math.ceil(left * 1000)):
                if descriptor in self._streams:
                    self._read_stream(descriptor, log)
                    continue
                if event & select.POLLOUT and rest:
                    rest = self._send(rest)
                    if not rest:
                        poller.modify(self._socket, select.POLLIN)
                if event & ~select.POLLOUT:
                    answer = self._receive()
        self.drain(log)
        return answer

    def _send(self, rest: memoryview) -> memoryview:
        try:
            return rest[self._socket.send(rest) :]
        except BlockingIOError:
            return rest
        except OSError:
            # The other end is gone: reading says so too, after what it said last.
            return rest[len(rest) :]

    def _receive(self) -> dict[str, Any] | Silence | None:
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return None
        except OSError:
            return Silence.CLOSED
        return self._decoder.feed(data) if data else Silence.CLOSED

    def _read_stream(self, descriptor: int, log: Log | None) -> int:
        try:
            data = os.read(descriptor, _CHUNK)
        except OSError:
            return 0
        if log is not None:
            log.add(self._streams[descriptor], data)
        return len(data)

    def drain(self, log: Log | None) -> None:
        """Take what was printed by now; None drops it."""
        for descriptor in self._streams:
            total = 0
            while total < _PIPE_BYTES and (size := self._read_stream(descriptor, log)):
                total += size

    @property
    def quiet(self) -> bool:
        """Whether the agent is there and has nothing to say: neither gone, nor speaking out of turn."""
        if not self._decoder.empty:
            return False
        try:
            self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        """Close the connection: an idle agent ends by that."""
        self._socket.close()


def listen(connection: socket.socket, streams: Mapping[str, int], deadline: float) -> Channel:
    """The channel of an agent that has just connected, once it has said `hello`.

    Raises:
        SandboxError: it said something else, or nothing.
    """
    channel = Channel(connection, streams)
    try:
        answer = channel.talk(b"", deadline, Log())
        if isinstance(answer, Silence):
            raise SandboxError(f"no greeting from the agent: {answer.value}")
        if answer.get("type") != "hello":
            raise SandboxError("the agent's first frame is no greeting")
    except BaseException:
        channel.close()
        raise
    return channel
