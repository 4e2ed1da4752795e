"""Following a log while it is printed, over Redis: who follows asks on one channel, and the worker that runs the invocation answers on that invocation's.

Messages may be lost, and the same may come twice: each excerpt says where it begins, so that a reader sees a gap and asks again. What nobody
asks for is never sent.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import redis

from faas.domain.ids import is_id
from faas.domain.log import Excerpt, Piece, Position
from faas.errors import BrokerDown
from faas.queueing import names
from faas.queueing.publisher import connect

# Whoever follows asks again this often; a worker forgets who does not.
ASK_SECONDS = 3.0
FORGET_SECONDS = 10.0
_SUBSCRIBE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Ask:
    """Somebody follows an invocation. With a position: send everything from there on (again)."""

    invocation_id: str
    position: Position | None


class Feed:
    """One invocation's log as its worker sends it. Connects in `open`.

    Args:
        url: `redis://…`.
    """

    def __init__(self, url: str, invocation_id: str) -> None:
        self._url, self._id = url, invocation_id
        self._client: redis.Redis | None = None
        self._channel: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> bool:
        """Subscribe where that is not so; whether something may have been missed by that. Raises BrokerDown."""
        if self._channel is not None:
            return False
        try:
            self._client = connect(self._url)
            self._channel = self._client.pubsub()  # type: ignore[no-untyped-call]
            self._channel.subscribe(names.LOG + self._id)
            # An answer to a question that comes before the subscription would be lost.
            deadline = time.monotonic() + _SUBSCRIBE_SECONDS
            while (message := self._channel.get_message(timeout=1.0)) is None or message["type"] != "subscribe":
                if time.monotonic() > deadline:
                    raise redis.ConnectionError("a subscription was not confirmed")
        except (redis.RedisError, OSError) as error:
            self._failed(error)
        return True

    def ask(self, position: Position | None) -> None:
        """Tell the workers that somebody follows; with a position, what is wanted from there on. Raises BrokerDown."""
        place = None if position is None else [position.attempt, position.offset]
        try:
            if self._client is not None:
                self._client.publish(names.FOLLOW, json.dumps([self._id, place]))
        except (redis.RedisError, OSError) as error:
            self._failed(error)

    def next(self, seconds: float) -> Excerpt | None:
        """The next excerpt, or None where none came in time. Raises BrokerDown."""
        if self._channel is None:
            raise BrokerDown("Redis does not answer")
        try:
            message = self._channel.get_message(ignore_subscribe_messages=True, timeout=seconds)
        except (redis.RedisError, OSError) as error:
            self._failed(error)
        return read_excerpt(str(message["data"])) if message is not None else None

    def close(self) -> None:
        """Close the connections; `open` makes new ones."""
        channel, client = self._channel, self._client
        self._channel = self._client = None
        if channel is not None:
            channel.close()
        if client is not None:
            client.close()

    def _failed(self, error: Exception) -> Any:
        self.close()
        raise BrokerDown(f"Redis does not answer: {error}") from error


def read_ask(text: str) -> Ask | None:
    """What was asked; None where it is nothing that this module writes."""
    try:
        invocation_id, place = json.loads(text)
        position = None if place is None else Position(int(place[0]), max(0, int(place[1])))
    except (ValueError, TypeError, IndexError):
        return None
    return Ask(invocation_id, position) if isinstance(invocation_id, str) and is_id(invocation_id) else None


def write_excerpt(excerpt: Excerpt) -> str:
    """An excerpt as a message. Bytes travel as the characters of the same numbers: mostly they are ASCII."""
    pieces = [[piece.stream, piece.time, piece.data.decode("latin-1")] for piece in excerpt.pieces]
    whole = [excerpt.start.attempt, excerpt.start.offset, pieces, excerpt.closed]
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":"))


def read_excerpt(text: str) -> Excerpt | None:
    """The excerpt of a message; None where it is nothing that this module writes."""
    try:
        attempt, offset, found, closed = json.loads(text)
        pieces = tuple(Piece(stream, float(moment), data.encode("latin-1")) for stream, moment, data in found)
        return Excerpt(Position(int(attempt), int(offset)), pieces, bool(closed))
    except (ValueError, TypeError, AttributeError):
        return None
