"""Calls of many functions in turn, all warm, against as many calls of one function.

A thousand functions exist. As many of them are made warm as the machine's memory and the time allow, and the worker's budget is set to hold those; the calls
then go over these in turn. A function beyond the budget would be a cold start at every turn, which other rows measure.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.http import Connection, spread_over
from bench.result import Pair, Result, compared
from bench.session import Session
from bench.stack import ECHO, Stack, call_body, invoke

_CONNECTIONS = 8
_LEAST_CALLS, _MOST_CALLS = 200, 2000
# The least that a function may have, which counts against the budget; and what an idle one really takes.
_FUNCTION_MB, _REAL_MB = 32, 16
# Of what the machine has to spare.
_SHARE = 0.75
# Rounds, and the end of many sandboxes.
_AFTER_S = 90.0


def measure(session: Session) -> list[Result]:
    """The row; its note says how many were warm."""
    effort, stack = session.effort, session.stack
    most = min(effort.functions, int(_available_mb() * _SHARE) // _REAL_MB)
    seconds = min(effort.functions_seconds, max(10.0, session.left_s - _AFTER_S))
    stack.restart_worker(WORKER_MEMORY_MB=f"{(most + 64) * _FUNCTION_MB}", WORKER_KEEP_ALIVE="3600")
    pairs: list[Pair] = []
    with contextlib.ExitStack() as held:
        connections = [held.enter_context(stack.connect()) for _ in range(_CONNECTIONS)]
        session.say(f"making {effort.functions} functions")
        bodies = _functions(stack, connections, effort.functions)
        one = call_body(stack.deploy(connections[0], ECHO, memory_mb=_FUNCTION_MB))
        session.say(f"warming up to {most} of them, for {seconds:.0f} s at most")
        warm = _warm_up(connections, bodies[:most], seconds)
        count = min(max(len(warm), _LEAST_CALLS), _MOST_CALLS) if effort.functions == 1000 else len(warm) * 4
        _rate(connections, [one], count)
        for _ in effort.each_round():
            reference = _rate(connections, [one], count)
            pairs.append((_rate(connections, warm, count), reference))
    note = f"{len(warm):,} of {effort.functions:,} functions warm"
    return [compared("thousand-functions", pairs, note)]


def _functions(stack: Stack, connections: Sequence[Connection], count: int) -> list[bytes]:
    calls = [lambda one: call_body(stack.deploy(one, ECHO, memory_mb=_FUNCTION_MB))] * count
    return spread_over(connections, calls)


def _warm_up(connections: Sequence[Connection], bodies: Sequence[bytes], seconds: float) -> list[bytes]:
    """Call each once, as long as there is time; the bodies of those that were called."""
    deadline = time.monotonic() + seconds
    left, warm = iter(bodies), []

    def work(connection: Connection) -> None:
        for body in left:
            invoke(connection, body)
            warm.append(body)
            if time.monotonic() > deadline:
                return

    with ThreadPoolExecutor(len(connections)) as pool:
        list(pool.map(work, connections))
    return warm


def _rate(connections: Sequence[Connection], bodies: Sequence[bytes], count: int) -> float:
    """Calls a second, over the bodies in turn."""
    calls = [functools.partial(_call, body) for body in itertools.islice(itertools.cycle(bodies), count)]
    start = time.perf_counter()
    spread_over(connections, calls)
    return count / (time.perf_counter() - start)


def _call(body: bytes, connection: Connection) -> None:
    invoke(connection, body)


def _available_mb() -> int:
    """What the kernel thinks could be had without swapping."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("MemAvailable:"))
