"""The first call of a fresh function, against `docker run` of the same image printing hello."""

from __future__ import annotations

import contextlib
import subprocess
import time

from bench.http import spread_over
from bench.measures.timing import timed_ms
from bench.result import Pair, Result, compared, percentile
from bench.session import Session
from bench.stack import ECHO, ECHO_NODEJS, call_body, invoke
from faas.domain.function import Runtime
from faas.sandbox.docker_client import image_of

_HELLO = {
    Runtime.PYTHON: ("/usr/bin/python3", "-c", "print('hello')"),
    Runtime.NODEJS: ("/usr/bin/node", "-e", "console.log('hello')"),
}
_SOURCES = {Runtime.PYTHON: ECHO, Runtime.NODEJS: ECHO_NODEJS}
_SECONDS = 120


def python(session: Session) -> list[Result]:
    """The row of Python."""
    return _one_by_one(session, Runtime.PYTHON, "cold-python")


def nodejs(session: Session) -> list[Result]:
    """The row of Node.js."""
    return _one_by_one(session, Runtime.NODEJS, "cold-nodejs")


def burst(session: Session) -> list[Result]:
    """Many first calls at once, each of another function, against one `docker run` by itself."""
    effort, stack = session.effort, session.stack
    pairs: list[Pair] = []
    with contextlib.ExitStack() as held:
        connections = [held.enter_context(stack.connect()) for _ in range(effort.burst)]
        invoke(connections[0], call_body(stack.deploy(connections[0], ECHO)))
        for _ in effort.each_round(min(effort.rounds, 4)):
            reference = percentile([_docker_run(Runtime.PYTHON) for _ in range(2)], 50)
            bodies = [call_body(stack.deploy(connections[0], ECHO)) for _ in range(effort.burst)]
            time.sleep(effort.settle * 3)
            calls = [lambda one, body=body: timed_ms(lambda: _cold(one, body)) for body in bodies]
            pairs.append((percentile(spread_over(connections, calls), 95), reference))
    note = "" if effort.burst == 20 else f"{effort.burst} at once"
    return [compared("cold-burst", pairs, note)]


def _one_by_one(session: Session, runtime: Runtime, row_id: str) -> list[Result]:
    effort, stack = session.effort, session.stack
    pairs: list[Pair] = []
    with stack.connect() as connection:
        # The very first call of a runtime finds no stem cell of it.
        invoke(connection, call_body(stack.deploy(connection, _SOURCES[runtime], runtime.value)))
        _docker_run(runtime)
        for _ in effort.each_round(effort.cold_rounds):
            reference, ours = _docker_run(runtime), []
            for _ in range(effort.colds):
                body = call_body(stack.deploy(connection, _SOURCES[runtime], runtime.value))
                # As functions come in life: one by one, with time for a new stem cell.
                time.sleep(effort.settle)
                ours.append(timed_ms(lambda body=body: _cold(connection, body)))  # type: ignore[misc]
            pairs.append((percentile(ours, 50), reference))
    return [compared(row_id, pairs)]


def _cold(connection: object, body: bytes) -> None:
    answer = invoke(connection, body)  # type: ignore[arg-type]
    if b'"cold_start":true' not in answer.replace(b" ", b""):
        raise RuntimeError("the first call of a function was not cold")


def _docker_run(runtime: Runtime) -> float:
    program, *arguments = _HELLO[runtime]
    command = ["docker", "run", "--rm", "--entrypoint", program, image_of(runtime), *arguments]

    def run() -> None:
        subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=_SECONDS)

    return timed_ms(run)
