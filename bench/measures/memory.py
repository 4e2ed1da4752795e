"""Memory: of the platform's processes at rest, and of what one more idle sandbox costs.

Of processes it is the proportional set size: a page that n processes share counts as an n-th in each (proc(5), smaps_rollup).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import docker

from bench.measures import procfs
from bench.result import Result, absolute
from bench.session import Session
from bench.stack import ECHO, call_body, containers, invoke

_MIB = 1 << 20
_SAMPLES = 3


def at_rest(session: Session) -> list[Result]:
    """Controller, worker and clock some seconds after the start, when a function was called, and with their stock of stem cells."""
    stack = session.stack
    with stack.connect() as connection:
        body = call_body(stack.deploy(connection, ECHO))
        for _ in range(5):
            invoke(connection, body)
    time.sleep(session.effort.settle * 3)
    totals, parts = [], {}
    for _ in range(_SAMPLES):
        parts = {name: procfs.tree_mib(session.processes.pid(name)) for name in ("controller", "worker", "clock")}
        totals.append(sum(parts.values()))
        time.sleep(session.effort.settle)
    note = ", ".join(f"{name} {mib:.0f}" for name, mib in parts.items())
    return [absolute("rest-memory", totals, note)]


def idle_sandbox(session: Session) -> list[Result]:
    """The container's own memory, its shim's, and by how much the worker has grown for it. A worker without stem cells, so that all are alike."""
    effort, stack = session.effort, session.stack
    stack.restart_worker(WORKER_STEM_CELLS="0")
    with stack.connect() as connection, contextlib.closing(docker.from_env()) as client:
        # What the worker loads for its first sandbox is no cost of the others.
        invoke(connection, call_body(stack.deploy(connection, ECHO)))
        first, before = _ids(client, stack.name), procfs.tree_mib(session.processes.pid("worker"))
        for _ in range(effort.sandboxes):
            invoke(connection, call_body(stack.deploy(connection, ECHO)))
        time.sleep(effort.settle * 2)
        growth = (procfs.tree_mib(session.processes.pid("worker")) - before) / effort.sandboxes
        figures = [_container_mib(client, one) for one in sorted(_ids(client, stack.name) - first)]
    note = f"container {figures[0][0]:.1f}, shim {figures[0][1]:.1f}, worker {growth:.1f}"
    return [absolute("idle-sandbox-memory", [inside + shim + growth for inside, shim in figures], note)]


def _ids(client: docker.DockerClient, name: str) -> set[str]:
    return {str(one["Id"]) for one in containers(client, name)}


def _container_mib(client: docker.DockerClient, container_id: str) -> tuple[float, float]:
    """Of its control group, less the file cache that the kernel may drop, as `docker stats` counts; and of its shim."""
    usage = client.api.stats(container_id, stream=False, one_shot=True)["memory_stats"]
    cache = next(_cache(usage.get("stats", {})), 0)
    pid = int(client.api.inspect_container(container_id)["State"]["Pid"])
    return (usage["usage"] - cache) / _MIB, procfs.mib(procfs.parent(pid))


def _cache(stats: dict[str, int]) -> Iterator[int]:
    """Control groups of version 1 name it with `total_`."""
    for name in ("total_inactive_file", "inactive_file"):
        if name in stats:
            yield stats[name]
