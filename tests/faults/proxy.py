"""A TCP proxy of our own between the platform's parts and their servers, which can be told to spoil what goes through it.

Each `Link` listens on a loopback port and leads to a server. All links share one event loop in a thread of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

LOOPBACK = "127.0.0.1"
_CHUNK = 64 * 1024
_HELD_BYTES = 1 << 20
# Of a link in the mode `slow`: 1 KB/s, in pieces so small that a reply is seen to trickle.
_PIECE, _PIECE_SECONDS = 256, 0.25
_LATENCY_SECONDS = 0.25
# In the mode `cut`, every so many pieces from the server end in their middle.
_CUT_EVERY = 5

UP, DOWN = "up", "down"
MODES = ("latency", "slow", "stall", "cut", "refuse")


@dataclass(eq=False)
class _Connection:
    """A client's connection and the one that leads on to the server."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter


class Link:
    """One way to one server. Its methods may be called from any thread.

    Attributes:
        port: where it listens.
    """

    def __init__(self, proxy: Proxy, target: int) -> None:
        self.port = 0
        self._proxy, self._target = proxy, target
        self._listener: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._mode = ""
        self._stalled: set[str] = set()
        self._held = {UP: b"", DOWN: b""}
        self._flows = asyncio.Event()
        self._flows.set()
        self._pieces = 0
        self._trap: tuple[str, bytes] | None = None

    def spoil(self, mode: str) -> None:
        """From now on: `latency` (a quarter of a second for each piece), `slow` (1 KB/s), `stall` (nothing passes), `cut` (replies end in
        their middle, with a reset), `refuse` (connections are reset as they come)."""
        self._proxy.call(lambda: self._set(mode))
        if mode == "refuse":
            self.reset()

    def stall(self, *directions: str) -> None:
        """Let nothing pass in these directions (`UP` is to the server); what came is kept, see `held`."""
        self._proxy.call(lambda: self._set("", *directions))

    def stall_at(self, direction: str, words: bytes) -> None:
        """Let nothing pass in a direction from the piece on that contains `words`."""
        self._proxy.call(lambda: self._wait_for(direction, words))

    def heal(self) -> None:
        """Pass everything on again, what was held first."""
        self._proxy.call(lambda: self._set(""))

    def reset(self) -> None:
        """Reset every connection, on both sides. What was held is lost."""
        self._proxy.call(self._reset_all)

    def half_close(self) -> None:
        """Tell every client that the server has closed, and nobody else anything."""
        self._proxy.call(self._half_close)

    def held(self, direction: str) -> bytes:
        """What came in a direction since it was stalled (the first megabyte)."""
        return self._held[direction]

    # -- in the loop's thread

    async def listen(self) -> None:
        """Open the port."""
        self._listener = await asyncio.start_server(self._serve, LOOPBACK, 0)
        self.port = self._listener.sockets[0].getsockname()[1]

    def shut(self) -> None:
        """Close the port, and reset what is connected."""
        if self._listener is not None:
            self._listener.close()
        self._reset_all()

    def _wait_for(self, direction: str, words: bytes) -> None:
        self._set("")
        self._trap = direction, words

    def _set(self, mode: str, *stalled: str) -> None:
        self._mode, self._trap = mode, None
        self._stalled = {UP, DOWN} if mode == "stall" else set(stalled)
        self._held = {UP: b"", DOWN: b""}
        # Whoever waits looks anew.
        self._flows.set()
        self._flows = asyncio.Event()

    def _reset_all(self) -> None:
        for connection in list(self._connections):
            self._reset(connection)

    def _reset(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        for writer in (connection.client, connection.server):
            _abort(writer)

    def _half_close(self) -> None:
        for connection in self._connections:
            with contextlib.suppress(OSError, RuntimeError):
                connection.client.write_eof()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode == "refuse":
            _abort(writer)
            return
        try:
            server_reader, server = await asyncio.open_connection(LOOPBACK, self._target)
        except OSError:
            _abort(writer)
            return
        connection = _Connection(writer, server)
        self._connections.add(connection)
        try:
            await asyncio.gather(
                self._pump(connection, UP, reader, server), self._pump(connection, DOWN, server_reader, writer)
            )
        except (OSError, RuntimeError):
            self._reset(connection)
        finally:
            self._connections.discard(connection)
            for end in (writer, server):
                end.close()

    async def _pump(
        self, connection: _Connection, direction: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(_CHUNK):
            await self._gate(direction, data)
            if connection not in self._connections:
                return
            if self._cuts(direction):
                writer.write(data[: len(data) // 2])
                await writer.drain()
                self._reset(connection)
                return
            await self._pass(data, writer)
        await self._gate(direction, b"")
        with contextlib.suppress(OSError, RuntimeError):
            writer.write_eof()

    async def _gate(self, direction: str, data: bytes) -> None:
        if self._trap is not None and self._trap[0] == direction and self._trap[1] in data:
            self._trap = None
            self._stalled.add(direction)
        if direction in self._stalled and len(self._held[direction]) < _HELD_BYTES:
            self._held[direction] += data
        while direction in self._stalled:
            await self._flows.wait()
        if self._mode == "latency" and data:
            await asyncio.sleep(_LATENCY_SECONDS)

    def _cuts(self, direction: str) -> bool:
        if self._mode != "cut" or direction != DOWN:
            return False
        self._pieces += 1
        return self._pieces % _CUT_EVERY == 0

    async def _pass(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        while self._mode == "slow" and data:
            piece, data = data[:_PIECE], data[_PIECE:]
            writer.write(piece)
            await asyncio.sleep(_PIECE_SECONDS)
        writer.write(data)
        await writer.drain()


class Proxy:
    """The loop that serves links."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._links: list[Link] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()

    def link(self, target: int) -> Link:
        """A new link to a loopback port, open when this returns."""
        link = Link(self, target)
        self._links.append(link)
        self._await(link.listen())
        return link

    def call(self, action: Callable[[], None]) -> None:
        """Do something in the loop's thread, and wait until it is done."""

        async def act() -> None:
            action()

        self._await(act())

    def close(self) -> None:
        """Close all links and the loop."""
        self._await(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=30)
        self._loop.close()

    async def _shut(self) -> None:
        for link in self._links:
            link.shut()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _await(self, work: Coroutine[Any, Any, None]) -> None:
        future: Future[None] = asyncio.run_coroutine_threadsafe(work, self._loop)
        future.result(30)


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close at once, with a reset instead of a farewell."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
