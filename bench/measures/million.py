"""Submitting, getting and listing beside a million invocations, against the same on an empty table. Two databases of one server, a controller on each,
and no worker: nothing but the table's size differs."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import psycopg2

from bench import servers
from bench.http import Connection
from bench.measures.timing import times_ms
from bench.result import Pair, Result, compared, percentile
from bench.servers import Servers
from bench.session import Session
from bench.stack import ECHO, Stack, call_body, submit

_AT_ONCE = 50_000
# Keys as UUIDv7 has them, in the order of time, over the last 2,000 seconds: 2 ms from one to the next.
_FILL = """
    INSERT INTO invocations (id, function_id, function_name, revision, status, attempts, max_attempts, timeout_ms, created_at, due_at, admitted_at,
        published_at, started_at, finished_at, queue_ms, init_ms, duration_ms, cold_start, worker_id, payload, headers, result)
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid,
        %(function)s, 'bench', 1, CASE WHEN n %% 20 = 0 THEN 'failed' ELSE 'succeeded' END, 1, 1, 30000, at, at, at, at, at, at, 1, 0, 1, false, 'worker',
        '{"n": 1}', '{}', '{"n": 1}'
    FROM (SELECT n, clock_timestamp() - (%(all)s - n) * interval '2 milliseconds' AS at FROM generate_series(%(first)s, %(last)s) AS n) AS moments"""


class _Side:
    """A controller, and the calls that are timed on it."""

    def __init__(self, stack: Stack, connection: Connection) -> None:
        self.stack, self._connection = stack, connection
        self.function = stack.deploy(connection, ECHO)
        self._body = call_body(self.function, {"n": 1})
        first = connection.json("POST", "/invoke", {"function_id": self.function}, expected=202)["id"]
        self.calls = {
            "submit": lambda: submit(connection, self._body),
            "get": lambda: self._get(f"/invocations/{first}"),
            "list": lambda: self._get(f"/invocations?function_id={self.function}&limit=50"),
        }

    def medians(self, count: int) -> dict[str, float]:
        """p50 of each call, in milliseconds."""
        return {name: percentile(times_ms(call, count), 50) for name, call in self.calls.items()}

    def _get(self, path: str) -> None:
        if self._connection.call("GET", path)[0] != 200:
            raise RuntimeError(f"GET {path} failed")


def measure(session: Session) -> list[Result]:
    """The row: of the three calls, the one whose ratio is the worst."""
    effort = session.effort
    with contextlib.ExitStack() as held:
        full, empty = (_side(session, held, name) for name in ("full", "empty"))
        session.say(f"making {effort.rows:,} rows")
        _fill(full.stack.servers.database_url, full.function, effort.rows)
        for side in (full, empty):
            # A full first page on both, else a long list would be compared with a short one.
            times_ms(side.calls["submit"], 60)
            side.medians(5)
        rounds: dict[str, list[Pair]] = {name: [] for name in full.calls}
        for _ in effort.each_round():
            theirs, ours = empty.medians(effort.page_calls), full.medians(effort.page_calls)
            for name, pairs in rounds.items():
                pairs.append((ours[name], theirs[name]))
    results = {name: compared("million-rows", pairs) for name, pairs in rounds.items()}
    note = ", ".join(f"{name} {result.value:.2f} ms, {result.ratio:.2f}×" for name, result in results.items())
    if effort.rows != 1_000_000:
        note += f"; {effort.rows:,} rows"
    return [replace(max(results.values(), key=lambda one: one.ratio or 0), note=note)]


def _side(session: Session, held: contextlib.ExitStack, name: str) -> _Side:
    url = session.servers.database_url
    servers.administer(url, f"CREATE DATABASE bench_{name}")
    # A database of Redis of its own, so that no worker hears of what is submitted here.
    broker = session.servers.redis_url.rpartition("/")[0] + ("/2" if name == "full" else "/3")
    own = f"{url.rpartition('/')[0]}/bench_{name}"
    stack = Stack(session.processes, Servers(own, own, broker), session.environ)
    stack.migrate()
    stack.start_controller(f"of-{name}")
    held.callback(session.processes.stop, f"of-{name}")
    return _Side(stack, held.enter_context(stack.connect()))


def _fill(database_url: str, function: str, rows: int) -> None:
    connection = psycopg2.connect(database_url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for first in range(1, rows + 1, _AT_ONCE):
                last = min(first + _AT_ONCE - 1, rows)
                cursor.execute(_FILL, {"function": function, "all": rows, "first": first, "last": last})
            # What autovacuum would come to by itself, later and in the middle of a round.
            cursor.execute("VACUUM ANALYZE invocations")
            cursor.execute("CHECKPOINT")
    finally:
        connection.close()
