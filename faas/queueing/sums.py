"""What the processes of all hosts have counted, added up in Redis.

Three kinds of keys (`faas.queueing.names`): one hash with all sums; for each process one with its gauges, which is gone when the process has not told
of itself for three intervals; and the set of the processes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import redis

from faas.errors import BrokerDown
from faas.queueing import names
from faas.queueing.publisher import connect

T = TypeVar("T")

# A scrape has ten seconds in all, and asks PostgreSQL too.
_SECONDS = 2.0
# KEYS: the sums, the process's own key, the processes. ARGV: the process, its report's number, the milliseconds after which it is forgotten, its
# gauges, then fields and what was added to each. A report that came twice, because the answer to it was lost, is added once. What a script has done is not
# undone, so the number goes first: a report that fails in the middle is lost in part, and not added again without end.
_REPORT = """
local before = redis.call('HGET', KEYS[2], 'report')
redis.call('HSET', KEYS[2], 'report', ARGV[2], 'gauges', ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
redis.call('SADD', KEYS[3], ARGV[1])
if before ~= ARGV[2] then
    for n = 5, #ARGV, 2 do redis.call('HINCRBYFLOAT', KEYS[1], ARGV[n], ARGV[n + 1]) end
end"""


@dataclass(frozen=True, slots=True)
class Sums:
    """What is in Redis at one moment.

    Attributes:
        backlog: messages that no worker has taken.
        counted: by field, over all processes since Redis was empty.
        gauges: by field, for each process that is alive.
    """

    backlog: int
    counted: dict[str, str]
    gauges: list[dict[str, float]]


class SumsInRedis:
    """See the module. Nothing connects before the first use. Every method raises BrokerDown.

    Args:
        url: `redis://…`.
        process: a name that no other process ever has.
        lifetime_s: gauges of a process that is silent for so long are forgotten.
    """

    def __init__(self, url: str, process: str, lifetime_s: float) -> None:
        self._process, self._lifetime_ms = process, round(lifetime_s * 1000)
        self._client = connect(url, read_seconds=_SECONDS)
        self._script = self._client.register_script(_REPORT)

    def report(self, number: int, added: Mapping[str, float], gauges: Mapping[str, float]) -> None:
        """Add what the process has counted since its last report, and tell its gauges.

        Args:
            number: of the report; one that is sent again has the same one, and the same content.
        """
        keys = [names.METRICS, names.METRICS_OF + self._process, names.METRICS_PROCESSES]
        pairs = [part for field, number_ in added.items() for part in (field, repr(number_))]
        self._run(
            lambda: self._script(keys=keys, args=[self._process, number, self._lifetime_ms, json.dumps(gauges), *pairs])
        )

    def read(self) -> Sums:
        """All there is."""
        return self._run(self._read)

    def leave(self) -> None:
        """The process ends: its gauges go, and what it has counted stays."""
        self._run(lambda: self._client.delete(names.METRICS_OF + self._process))

    def forget(self, fields: Iterable[str]) -> None:
        """Remove sums that nobody knows any more."""
        gone = list(fields)
        if gone:
            self._run(lambda: self._client.hdel(names.METRICS, *gone))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _read(self) -> Sums:
        pipe = self._client.pipeline(transaction=False)
        pipe.llen(names.QUEUE)
        pipe.hgetall(names.METRICS)
        pipe.smembers(names.METRICS_PROCESSES)
        backlog, counted, processes = pipe.execute()
        listed = sorted(processes)
        for process in listed:
            pipe.hget(names.METRICS_OF + process, "gauges")
        told = dict(zip(listed, pipe.execute(), strict=True))
        silent = [process for process, text in told.items() if text is None]
        if silent:
            # One that was only late lists itself again.
            self._client.srem(names.METRICS_PROCESSES, *silent)
        return Sums(int(backlog), counted, [json.loads(text) for text in told.values() if text is not None])

    def _run(self, action: Callable[[], T]) -> T:
        try:
            return action()
        except (redis.RedisError, OSError) as error:
            raise BrokerDown(f"Redis does not answer: {error}") from error
