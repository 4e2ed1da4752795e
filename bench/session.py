"""What the measures share: one platform and one reference, started when they are first asked for, ended at the end."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from celery import Celery

from bench import servers
from bench.bare import THREADS, make_app
from bench.effort import Effort
from bench.interrupts import deferred
from bench.processes import Processes
from bench.servers import Servers
from bench.stack import Stack
from faas.embedded.process import Program

if TYPE_CHECKING:
    from types import TracebackType

_REPOSITORY = Path(__file__).resolve().parents[1]
_BARE_SECONDS = 60.0
_WHOLE_S = 600.0


class Session:
    """One run of the bench.

    Args:
        root: an empty folder.
        environ: the outer environment; `WORKER_…` and `WEB_CONCURRENCY` pass to the platform.
        say: shows a line of progress.
    """

    def __init__(self, root: Path, effort: Effort, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
        self.root, self.effort, self.environ, self.say = root, effort, environ, say
        self.processes = Processes(root)
        self._start = time.monotonic()
        self._ends = contextlib.ExitStack()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with deferred():
            self._ends.close()
            self.processes.stop("bare-worker", "bare-redis", "redis", "postgres")

    def on_end(self, action: Callable[[], object]) -> None:
        """Have something undone at the end, the latest first."""
        self._ends.callback(action)

    @property
    def left_s(self) -> float:
        """What is left of the ten minutes that a run may take, in seconds."""
        return _WHOLE_S - (time.monotonic() - self._start)

    def server_versions(self) -> dict[str, str]:
        """Of the servers that were started."""
        if "servers" not in self.__dict__:
            return {}
        return servers.versions(self.servers)

    @cached_property
    def servers(self) -> Servers:
        """PostgreSQL and Redis of the platform."""
        self.say("starting PostgreSQL and Redis")
        return servers.start(self.processes)

    @cached_property
    def stack(self) -> Stack:
        """The platform: controller, worker, clock."""
        made = Stack(self.processes, self.servers, self.environ)
        self.on_end(made.stop)
        self.say("starting controller, worker and clock")
        made.migrate()
        made.start_controller()
        made.start_clock()
        made.start_workers()
        return made

    @cached_property
    def bare(self) -> Celery:
        """The reference's application; its worker runs (`bare-worker`)."""
        self.say("starting the bare Celery worker")
        url = servers.start_redis(self.processes, "bare-redis")
        argv = (
            sys.executable,
            "-m",
            "celery",
            "-A",
            "bench.bare_worker",
            "worker",
            "-P",
            "threads",
            "-c",
            f"{THREADS}",
        )
        environment = {"PATH": os.defpath, "HOME": "/", "BENCH_REDIS_URL": url}
        self.processes.start(
            Program("bare-worker", argv, environment, self.processes.log("bare-worker"), _REPOSITORY, stop_seconds=10)
        )
        app = make_app(url)
        self.on_end(app.close)
        self._await(app)
        return app

    def _await(self, app: Celery) -> None:
        deadline = time.monotonic() + _BARE_SECONDS
        while not app.control.ping(timeout=0.5):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the bare Celery worker does not answer (see {self.processes.log('bare-worker')})")
