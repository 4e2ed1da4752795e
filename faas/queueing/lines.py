"""Commands to Redis without what redis-py does around each: its client and pool cost twice as much as the exchange itself. The connections are its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis

Command = tuple[Any, ...]


class Lines:
    """Connections to one Redis, each used by one thread at a time; the one that was used last first. For one process.

    Args:
        client: says how to connect, and what bounds every wait.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        # Lists take and give back in one step of the interpreter: no lock.
        self._resting: list[Any] = []
        self._closed = False

    def exchange(self, commands: Sequence[Command]) -> None:
        """Send commands at once, and read all answers.

        Raises:
            redis.RedisError: Redis is away, or refuses one of them; the others may have been done.
        """
        line = self._take()
        try:
            refused = _exchange_again(line, commands)
        except BaseException:
            # What was not read would be the answers of the next.
            line.disconnect()
            raise
        finally:
            self._resting.append(line)
            if self._closed:
                self.close()
        if refused is not None:
            raise refused

    def close(self) -> None:
        """Close what rests, and what is in use when it is given back."""
        self._closed = True
        resting, self._resting = self._resting, []
        for line in resting:
            line.disconnect()

    def _take(self) -> Any:
        try:
            return self._resting.pop()
        except IndexError:
            return self._client.connection_pool.make_connection()


def _exchange_again(line: Any, commands: Sequence[Command]) -> redis.ResponseError | None:
    """Once more where Redis had closed the connection meanwhile, as the client itself would."""
    try:
        return _exchange(line, commands)
    except redis.ConnectionError:
        line.disconnect()
        return _exchange(line, commands)


def _exchange(line: Any, commands: Sequence[Command]) -> redis.ResponseError | None:
    """Returns the first refusal. All answers are read, whatever they say."""
    # Connects where it is not, and asks whether one that rested for long lives.
    line.send_packed_command(line.pack_commands(commands))
    refused = None
    for _ in commands:
        try:
            line.read_response()
        except redis.ResponseError as error:
            refused = refused or error
    return refused
