"""Named children, ended in a given order, whatever happens."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.interrupts import deferred
from faas.embedded.process import Child, Program, run

START_SECONDS = 120.0


class Processes:
    """Programs that run. Start them from the main thread: the kernel ends a child with the thread that started it.

    Args:
        root: gets `logs/` and `run/`, where the programs are started in.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._children: dict[str, Child] = {}
        for folder in ("logs", "run"):
            (root / folder).mkdir(parents=True, exist_ok=True)

    def log(self, name: str) -> Path:
        """The log of a program."""
        return self.root / "logs" / f"{name}.log"

    def program(
        self, name: str, module: Sequence[str], environment: Mapping[str, str], prefix: Sequence[str] = ()
    ) -> Program:
        """A Python module as a program.

        Args:
            module: its name and its arguments.
            prefix: a command that ends by running the one behind it in its place.
        """
        argv = (*prefix, sys.executable, "-m", *module)
        death = signal.SIGQUIT if "gunicorn" in module else signal.SIGKILL
        return Program(
            name, argv, environment, self.log(name), self.root / "run", death_signal=death, stop_seconds=60.0
        )

    def start(self, program: Program) -> None:
        """Start a program and wait until it serves. Raises PlatformError."""
        child = self._children[program.name] = Child(program)
        child.wait_ready(START_SECONDS)

    def run(self, program: Program) -> None:
        """Run a program to its end. Raises PlatformError."""
        run(program, START_SECONDS)

    def pid(self, name: str) -> int:
        """The first process of a program."""
        return self._children[name].pid

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a program's first process."""
        os.kill(self.pid(name), number)

    @deferred()
    def stop(self, *prefixes: str) -> None:
        """Stop the programs whose names begin with one of these; those of one prefix all at once. Idempotent."""
        for prefix in prefixes:
            names = [name for name in self._children if name.startswith(prefix)]
            for name in names:
                # One that stands still can't end in good order.
                if self._children[name].status is None:
                    self.signal(name, signal.SIGCONT)
            if names:
                with ThreadPoolExecutor(len(names)) as pool:
                    list(pool.map(lambda name: self._children[name].stop(), names))
            for name in names:
                del self._children[name]
