"""`make bench`: latency and throughput of the whole platform, from outside, on a stack of its own.

Figures of one machine at one time; only ratios between runs on the same, otherwise idle machine mean anything.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from faas.cli.client import Client
from faas.cli.console import choose_engine, say, show_warnings
from faas.cli.examples import EXAMPLES
from faas.embedded.ports import free_port
from faas.embedded.stack import Options, Stack

WARM_CALLS, COLD_CALLS = 200, 5


def main() -> None:
    """Start a stack, measure, show a table."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--engine", choices=("auto", "container", "simple"), default="auto")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long throughput is measured")
    parser.add_argument("--clients", type=int, default=16, help="how many call at once")
    arguments = parser.parse_args()
    show_warnings()
    with tempfile.TemporaryDirectory(prefix="faas-bench-") as folder:
        engine = choose_engine(arguments.engine)
        stack = Stack(Options(Path(folder) / "state", free_port(), engine), os.environ)
        with stack.ended_by_signals():
            try:
                say(f"starting a stack with the {engine} engine")
                if stack.start():
                    show(engine, measure(Client(stack.url), arguments.seconds, arguments.clients))
            finally:
                stack.stop()


def measure(client: Client, seconds: float, clients: int) -> list[tuple[str, str]]:
    """The lines of the table."""
    lines = []
    for example in EXAMPLES:
        say(f"measuring {example.runtime}")
        body = {**example.as_request(), "max_concurrency": 100}
        call = functools.partial(client.invoke, example.name, example.payload)
        cold = []
        for _ in range(COLD_CALLS):
            # A function made anew has no warm sandbox; Go is compiled before the clock starts.
            client.deploy(body)
            wait_until_built(client, example.name)
            cold.append(timed(call))
        warm = [timed(call) for _ in range(WARM_CALLS)]
        lines.append((f"{example.runtime}, cold, p50", milliseconds(statistics.median(cold))))
        lines.append(
            (
                f"{example.runtime}, warm, p50 / p95",
                f"{milliseconds(statistics.median(warm))} / {milliseconds(p95(warm))}",
            )
        )
    say(f"measuring throughput for {seconds:g} s")
    done = throughput(functools.partial(client.invoke, EXAMPLES[0].name, EXAMPLES[0].payload), seconds, clients)
    lines.append((f"python, {clients} clients", f"{done / seconds:.0f} calls/s"))
    return lines


def wait_until_built(client: Client, name: str) -> None:
    """Return when the function is not `building` any more."""
    while client.function(name)["state"] == "building":
        time.sleep(0.1)


def throughput(call: Callable[[], Any], seconds: float, clients: int) -> int:
    """How many calls ended in that time."""
    over = threading.Event()

    def work() -> int:
        count = 0
        while not over.is_set():
            call()
            count += 1
        return count

    with ThreadPoolExecutor(clients) as pool:
        counts = [pool.submit(work) for _ in range(clients)]
        time.sleep(seconds)
        over.set()
        return sum(one.result() for one in counts)


def timed(call: Callable[[], Any]) -> float:
    """Seconds that the call took."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def p95(values: list[float]) -> float:
    """The 95th percentile."""
    return statistics.quantiles(values, n=20)[-1]


def milliseconds(seconds: float) -> str:
    """For people."""
    return f"{seconds * 1000:.1f} ms"


def show(engine: str, lines: list[tuple[str, str]]) -> None:
    """Print the table."""
    table = Table(title=f"HTTP to terminal record, {engine} engine, {os.cpu_count()} CPUs")
    table.add_column("what")
    table.add_column("figure", justify="right")
    for what, figure in lines:
        table.add_row(what, figure)
    Console().print(table)


if __name__ == "__main__":
    main()
