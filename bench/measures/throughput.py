"""Invocations a second, by HTTP and by the worker alone, against the tasks a second of a bare Celery worker.

Whoever drains a backlog stands still (SIGSTOP) while it is filled, so that filling costs it nothing.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator

from celery import Celery

from bench.bare import ECHO as BARE_ECHO
from bench.bare import NO_OP
from bench.http import Connection, spread_over
from bench.result import Pair, Result, compared
from bench.session import Session
from bench.stack import ECHO, Stack, call_body, submit

_CONNECTIONS = 8
_SECONDS = 180


def measure(session: Session) -> list[Result]:
    """Both rows; they share the reference's figure of their round."""
    effort, stack, bare = session.effort, session.stack, session.bare
    over_http: list[Pair] = []
    alone: list[Pair] = []
    with contextlib.ExitStack() as held:
        connections = [held.enter_context(stack.connect()) for _ in range(_CONNECTIONS)]
        body = call_body(stack.deploy(connections[0], ECHO, max_concurrency=1000, memory_mb=64), {"n": 1})
        _warm_up(stack, connections, body, effort.accepted // 2)
        for _ in effort.each_round(patience=2.0):
            reference = _bare_rate(session, bare, effort.tasks)
            over_http.append((_http_rate(stack, connections, body, effort.accepted), reference))
            alone.append((_drain_rate(session, stack, connections, body, effort.drained), reference))
    return [compared("async-throughput", over_http), compared("worker-drain", alone)]


def _warm_up(stack: Stack, connections: list[Connection], body: bytes, count: int) -> None:
    spread_over(connections, [lambda one: submit(one, body)] * count)
    stack.await_terminal()


def _http_rate(stack: Stack, connections: list[Connection], body: bytes, count: int) -> float:
    start = time.perf_counter()
    spread_over(connections, [lambda one: submit(one, body)] * count)
    return count / (stack.await_terminal() - start)


def _drain_rate(session: Session, stack: Stack, connections: list[Connection], body: bytes, count: int) -> float:
    with _standing_still(session, "worker"):
        spread_over(connections, [lambda one: submit(one, body)] * count)
        start = time.perf_counter()
    return count / (stack.await_terminal() - start)


def _bare_rate(session: Session, bare: Celery, count: int) -> float:
    with _standing_still(session, "bare-worker"), bare.producer_pool.acquire(block=True) as producer:
        for _ in range(count):
            bare.send_task(NO_OP, producer=producer)
        # Its answer says that those before it are done, but for the few that other threads have in hand.
        last = bare.send_task(BARE_ECHO, [None], producer=producer)
        start = time.perf_counter()
    last.get(timeout=_SECONDS)
    return count / (time.perf_counter() - start)


@contextlib.contextmanager
def _standing_still(session: Session, name: str) -> Iterator[None]:
    session.processes.signal(name, signal.SIGSTOP)
    try:
        yield
    finally:
        session.processes.signal(name, signal.SIGCONT)
