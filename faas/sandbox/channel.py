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


class Turn:
    """One exchange that is under way: a frame that is being sent, what is printed meanwhile, and the answer, once there is one.

    Attributes:
        answer: None while it is waited for; a SandboxError where the agent broke the protocol.
        log: takes what is printed until the answer came.
    """

    __slots__ = ("_channel", "_rest", "answer", "log")

    def __init__(self, channel: Channel, frame: bytes, log: Log) -> None:
        self._channel, self.log = channel, log
        self.answer: dict[str, Any] | Silence | SandboxError | None = None
        self._rest = channel.send(memoryview(frame))

    @property
    def unsent(self) -> bool:
        """Whether a part of the frame waits for room."""
        return bool(self._rest)

    def step(self, descriptor: int, event: int) -> bool:
        """Take what a poll has found.

        Returns:
            Whether there may be more to read than was read now.
        """
        channel = self._channel
        if descriptor != channel.descriptor:
            return channel.read_stream(descriptor, self.log)
        if self._rest and event & select.POLLOUT:
            self._rest = channel.send(self._rest)
        if event & ~select.POLLOUT:
            try:
                self.answer = channel.receive()
            except SandboxError as exc:
                # By now the function's code is in there: a broken protocol is its doing, an outcome and no fault of the platform.
                self.answer = exc
        return False


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
        self.descriptor = connection.fileno()
        # Asking all three at once is a quarter of what reading one takes that has nothing.
        self._at_hand = select.poll()
        for descriptor in self.descriptors:
            self._at_hand.register(descriptor, select.POLLIN)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What is to be polled for a turn: the connection, then the streams."""
        return (self.descriptor, *self._streams)

    def talk(self, frame: bytes, deadline: float, log: Log) -> dict[str, Any] | Silence | SandboxError:
        """One exchange, to its end.

        Args:
            frame: what is sent first; empty to listen only.
            deadline: of `time.monotonic`.
            log: takes what is printed until the answer came.
        """
        return self.wait(Turn(self, frame, log), deadline)

    def wait(self, turn: Turn, deadline: float) -> dict[str, Any] | Silence | SandboxError:
        """The answer of a turn, or that there is none by its deadline (of `time.monotonic`)."""
        poller = select.poll()
        for descriptor in self._streams:
            poller.register(descriptor, select.POLLIN)
        poller.register(self.descriptor, select.POLLIN | (select.POLLOUT if turn.unsent else 0))
        while turn.answer is None:
            left = deadline - time.monotonic()
            if left <= 0:
                turn.answer = Silence.EXPIRED
                break
            unsent = turn.unsent
            for descriptor, event in poller.poll(math.ceil(left * 1000)):
                turn.step(descriptor, event)
            if unsent and not turn.unsent:
                poller.modify(self.descriptor, select.POLLIN)
        self.drain(turn.log)
        return turn.answer

    def answered(self, turn: Turn, until: float) -> bool:
        """Whether a turn that is sent has its answer by a time of `time.monotonic`; it goes on where not."""
        while turn.answer is None:
            left = until - time.monotonic()
            if left <= 0:
                return False
            for descriptor, event in self._at_hand.poll(math.ceil(left * 1000)):
                turn.step(descriptor, event)
        return True

    def send(self, rest: memoryview) -> memoryview:
        """Send what there is room for, until there is none: only then is it told of more. The rest of it."""
        try:
            while rest:
                rest = rest[self._socket.send(rest) :]
        except BlockingIOError:
            pass
        except OSError:
            # The other end is gone: reading says so too, after what it said last.
            return rest[len(rest) :]
        return rest

    def receive(self) -> dict[str, Any] | Silence | None:
        """All that has come; the frame, if it is whole now. Raises SandboxError."""
        while True:
            try:
                data = self._socket.recv(_CHUNK)
            except BlockingIOError:
                return None
            except OSError:
                return Silence.CLOSED
            if not data:
                return Silence.CLOSED
            frame = self._decoder.feed(data)
            if frame is not None or len(data) < _CHUNK:
                return frame

    def read_stream(self, descriptor: int, log: Log | None) -> bool:
        """Take what was printed by now, within the size of a pipe; whether there may be more."""
        total = 0
        while total < _PIPE_BYTES:
            try:
                data = os.read(descriptor, _CHUNK)
            except OSError:
                return False
            if log is not None and data:
                log.add(self._streams[descriptor], data)
            total += len(data)
            # A pipe has an end: what comes after a short read comes with another event.
            if not data:
                return False
        return True

    def drain(self, log: Log | None) -> bool:
        """Take what was printed by now; None drops it. Whether the agent has nothing to say (see `quiet`)."""
        quiet = self._decoder.empty
        for descriptor, _ in self._at_hand.poll(0):
            if descriptor == self.descriptor:
                quiet = False
            else:
                self.read_stream(descriptor, log)
        return quiet

    @property
    def quiet(self) -> bool:
        """Whether the agent is there and has nothing to say: neither gone, nor speaking out of turn."""
        return self._decoder.empty and all(descriptor != self.descriptor for descriptor, _ in self._at_hand.poll(0))

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
        if isinstance(answer, SandboxError):
            raise answer
        if isinstance(answer, Silence):
            raise SandboxError(f"no greeting from the agent: {answer.value}")
        if answer.get("type") != "hello":
            raise SandboxError("the agent's first frame is no greeting")
    except BaseException:
        channel.close()
        raise
    return channel
