"""Throughput of four workers, each on a network namespace of its own as on a host of its own, against one of them. The function sleeps 50 ms.

While one is measured, the others stand still (SIGSTOP).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench import servers
from bench.http import Connection, spread_over
from bench.interrupts import deferred
from bench.processes import Processes
from bench.result import Pair, Result, compared
from bench.session import Session
from bench.stack import SLEEPER, Stack, call_body, submit

# Few, so that the workers' threads are what runs out and not the cores.
_THREADS = 4
_CONNECTIONS = 4


def measure(session: Session) -> list[Result]:
    """The row, on servers of its own, which the namespaces reach."""
    effort = session.effort
    names = [f"worker{number}" for number in range(1, effort.workers + 1)]
    reason = _missing()
    with contextlib.ExitStack() as held:
        network = None if reason else held.enter_context(_network(names))
        processes = Processes(session.root / "netns")
        held.callback(processes.stop, *servers.ORDER)
        stack = _stack(session, processes, names, network, held)
        connections = [held.enter_context(stack.connect()) for _ in range(_CONNECTIONS)]
        body = call_body(stack.deploy(connections[0], SLEEPER, max_concurrency=1000, memory_mb=64))
        _rate(stack, connections, body, len(names) * _THREADS * 8)
        pairs: list[Pair] = []
        for _ in effort.each_round(min(effort.rounds, 3)):
            reference = _rate_of_one(stack, connections, body, effort.sleepers, names[1:])
            pairs.append((_rate(stack, connections, body, effort.sleepers * len(names)), reference))
    notes = [f"{len(names)} workers"] if len(names) != 4 else []
    if reason:
        notes.append(f"in one network namespace, since {reason}")
    result = compared("four-workers", pairs, "; ".join(notes))
    return [replace(result, holds=None) if notes else result]


def _stack(
    session: Session, processes: Processes, names: Sequence[str], network: _Network | None, held: contextlib.ExitStack
) -> Stack:
    inside = servers.start(processes, network.address if network else None)
    settings = {"WORKER_CONCURRENCY": f"{_THREADS}"}
    stack = Stack(processes, inside, session.environ, settings)
    held.callback(stack.stop)
    stack.migrate()
    stack.start_controller()
    stack.start_clock()
    if network is None:
        stack.start_workers(names)
    else:
        urls = {
            "DATABASE_URL": inside.database_url.replace("127.0.0.1", network.address),
            "REDIS_URL": inside.redis_url.replace("127.0.0.1", network.address),
        }
        stack.start_workers(names, [network.enter(name) for name in names], **urls)
    return stack


def _rate(stack: Stack, connections: Sequence[Connection], body: bytes, count: int, stuck: int = 0) -> float:
    """Invocations a second from the first accepted to the last ended, but for those that are stuck."""
    start = time.perf_counter()
    spread_over(connections, [lambda one: submit(one, body)] * count)
    return (count - stuck) / (stack.await_terminal(stuck) - start)


def _rate_of_one(
    stack: Stack, connections: Sequence[Connection], body: bytes, count: int, others: Sequence[str]
) -> float:
    for name in others:
        stack.processes.signal(name, signal.SIGSTOP)
    try:
        # Redis hands each of the others the one message that it had asked for.
        rate = _rate(stack, connections, body, count, stuck=len(others))
    finally:
        for name in others:
            stack.processes.signal(name, signal.SIGCONT)
    stack.await_terminal()
    return rate


class _Network:
    """A bridge of the host's, and network namespaces that hang on it.

    Args:
        mark: four digits that no other run on this machine has.
    """

    def __init__(self, mark: str) -> None:
        self._mark = mark
        # A network of 16 bits out of 10/8, far from where people begin to count.
        self._net = f"10.{200 + int(mark, 16) % 50}"
        self.address = f"{self._net}.0.1"
        self._bridge = f"faasb{mark}"

    def enter(self, name: str) -> tuple[str, ...]:
        """The command that runs another one in a namespace. (`ip netns exec` would hide the control groups.)"""
        return ("nsenter", f"--net=/run/netns/{self._namespace(name)}", "--")

    def make(self, names: Sequence[str]) -> None:
        """Make the bridge, and a namespace for each name."""
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("address", "add", f"{self.address}/16", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")
        for number, name in enumerate(names, 2):
            space, host_end = self._namespace(name), self._host_end(number)
            _ip("netns", "add", space)
            _ip("link", "add", host_end, "type", "veth", "peer", "name", "eth0", "netns", space)
            _ip("link", "set", host_end, "master", self._bridge, "up")
            _ip("-n", space, "link", "set", "lo", "up")
            _ip("-n", space, "address", "add", f"{self._net}.0.{number}/16", "dev", "eth0")
            _ip("-n", space, "link", "set", "eth0", "up")

    @deferred()
    def remove(self, names: Sequence[str]) -> None:
        """Remove all. The links by name: with their namespaces they would go only when the last of their connections is forgotten."""
        numbers = range(2, len(names) + 2)
        links = [*(self._host_end(number) for number in numbers), self._bridge]
        commands = [("link", "delete", link) for link in links]
        commands += [("netns", "delete", self._namespace(name)) for name in names]
        for command in commands:
            with contextlib.suppress(RuntimeError):
                _ip(*command)

    def _host_end(self, number: int) -> str:
        return f"faas{self._mark}v{number}"

    def _namespace(self, name: str) -> str:
        return f"faas-{self._mark}-{name}"


@contextlib.contextmanager
def _network(names: Sequence[str]) -> Iterator[_Network]:
    network = _Network(secrets.token_hex(2))
    try:
        network.make(names)
        yield network
    finally:
        network.remove(names)


def _missing() -> str | None:
    """Why namespaces can't be made here; None where they can."""
    if os.geteuid() != 0:
        return "only root makes network namespaces"
    for program, package in (("ip", "iproute2"), ("nsenter", "util-linux")):
        if shutil.which(program) is None:
            return f"{program} is missing (package {package})"
    return None


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=30, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
