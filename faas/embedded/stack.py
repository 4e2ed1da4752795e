"""The whole platform on one machine, from one process: PostgreSQL, Redis, migrations, controller, worker and clock."""

from __future__ import annotations

import contextlib
import http.client
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from faas import config
from faas.embedded import postgres, redis_server
from faas.embedded.folder import DataFolder, Lock
from faas.embedded.ports import LOOPBACK, is_free
from faas.embedded.process import Program, run
from faas.embedded.supervisor import Supervisor
from faas.errors import PlatformError
from faas.services.vault import new_key

# Generous: a first start on a slow machine reads all programs from a cold disk, and compiles the agent for Go.
_SERVER_SECONDS, _MIGRATION_SECONDS, _HEALTH_SECONDS = 60.0, 120.0, 180.0
_STOP_ORDER = ("controller", "clock", "worker", "redis", "postgres")
_POLL = 0.05
# Shorter than a server's, so that Ctrl-C is quick.
_WORKER_GRACE = "5"
# Ours are said here; what an outer environment says about another stack must not get through.
_FOREIGN = ("DB_", "REDIS_", "PG")
_OVERRIDDEN = (
    "PORT",
    "DATABASE_URL",
    "WORKER_USE_CONTAINER",
    "WEB_CONCURRENCY",
    "GUNICORN_CMD_ARGS",
    "CELERY_CONFIG_MODULE",
)


@dataclass(frozen=True, slots=True)
class Options:
    """What the stack is to be.

    Attributes:
        engine: `container` or `simple`.
    """

    data_dir: Path
    port: int
    engine: str


class Stack:
    """One stack. `start`, then `run` or calls of `tend`, then `stop`, all from one thread.

    Args:
        environ: the outer environment; settings that the stack does not fix itself (`LOG_LEVEL`, `WORKER_STEM_CELLS` …) pass through.
    """

    def __init__(self, options: Options, environ: Mapping[str, str]) -> None:
        self._options = options
        self._folder = DataFolder(options.data_dir.expanduser().absolute())
        self._outer = environ
        self._supervisor = Supervisor()
        self._held = contextlib.ExitStack()

    @property
    def url(self) -> str:
        """Where the controller serves."""
        return f"http://{LOOPBACK}:{self._options.port}"

    @contextlib.contextmanager
    def ended_by_signals(self) -> Iterator[None]:
        """While it is entered, SIGINT and SIGTERM request the stop. The main thread only."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, lambda *_: self._supervisor.request_stop()) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    def start(self) -> bool:
        """Start everything, and wait until `/health` says that all is well.

        Returns:
            False where a stop was requested meanwhile.

        Raises:
            PlatformError: one line that says what does not work and where its log is. What was started still has to be stopped by `stop`.
        """
        self._folder.make()
        self._held.enter_context(Lock(self._folder))
        if not is_free(self._options.port):
            raise PlatformError(f"port {self._options.port} of {LOOPBACK} is taken by another process")
        database = postgres.prepare(self._folder.postgres, self._folder.log("postgres"))
        broker = redis_server.prepare(self._folder.redis, self._folder.log("redis"))
        environment = self._environment(database.near_url, broker.url)
        # A value that can't be right is said here, in one line, and not by four logs.
        config.load(environment)
        for server in (database.program, broker.program):
            if not self._supervisor.start(server, _SERVER_SECONDS):
                return False
        run(self._program("migrations", _faas("db", "upgrade"), environment), _MIGRATION_SECONDS)
        for program in self._platform(environment):
            if not self._supervisor.start(program, _SERVER_SECONDS):
                return False
        return self._await_health()

    def run(self) -> None:
        """Look after it until a stop is requested."""
        self._supervisor.run()

    def tend(self) -> None:
        """Look after it once."""
        self._supervisor.tend()

    def stop(self) -> None:
        """Stop everything in order. Idempotent."""
        self._supervisor.stop(_STOP_ORDER)
        self._held.close()

    def _environment(self, database_url: str, redis_url: str) -> dict[str, str]:
        outer = {
            name: value
            for name, value in self._outer.items()
            if not name.startswith(_FOREIGN) and name not in _OVERRIDDEN
        }
        return {
            "WORKER_GRACE": _WORKER_GRACE,
            "WEB_CONCURRENCY": "1",
            "FAAS_SECRETS_KEY": _secrets_key(self._folder.secrets_key),
            **outer,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "SERVER_ADDR": f"{LOOPBACK}:{self._options.port}",
            "STORAGE_BASE_DIR": f"{self._folder.storage}",
            "WORKER_ID": self._folder.name,
            "WORKER_WORK_DIR": f"{self._folder.work}",
            "WORKER_RUNTIME_TYPE": self._options.engine,
        }

    def _platform(self, environment: Mapping[str, str]) -> tuple[Program, ...]:
        """The same commands as in the Procfile."""
        grace = config.load(environment).worker_grace
        controller = self._program(
            "controller", _module("gunicorn", "-c", "python:faas.web.gunicorn", "faas.web:create_app()"), environment
        )
        worker = self._program(
            "worker",
            _module("celery", "-A", "faas", "worker", "--without-gossip", "--without-mingle", "--without-heartbeat"),
            environment,
        )
        return (
            # On our death gunicorn's master takes its workers with it; killed, it would leave them for a while.
            replace(controller, death_signal=signal.SIGQUIT),
            replace(worker, stop_seconds=grace + 5),
            self._program("clock", _faas("clock"), environment),
        )

    def _program(self, name: str, argv: tuple[str, ...], environment: Mapping[str, str]) -> Program:
        return Program(name, argv, environment, self._folder.log(name), self._folder.run)

    def _await_health(self) -> bool:
        deadline = time.monotonic() + _HEALTH_SECONDS
        while not self._supervisor.stopping:
            answer = _health(self._options.port)
            if answer == "ok":
                return True
            if time.monotonic() > deadline:
                raise PlatformError(
                    f"the stack is not healthy after {_HEALTH_SECONDS:.0f} s: {answer} (see {self._folder.root / 'logs'})"
                )
            self._supervisor.check_start()
            time.sleep(_POLL)
        return False


def _secrets_key(path: Path) -> str:
    """The key of this data folder's secrets, made at the first start. Raises PlatformError."""
    try:
        # Empty is one whose first start was killed.
        if not path.exists() or not path.read_text().strip():
            # For this account alone from the first moment on. The folder is locked: nobody else makes it now.
            path.touch(0o600)
            path.write_text(f"{new_key()}\n")
        return path.read_text().strip()
    except OSError as error:
        raise PlatformError(f"{path} can't be used: {error.strerror}") from None


def _module(name: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", name, *arguments)


def _faas(*arguments: str) -> tuple[str, ...]:
    return _module("faas.cli", *arguments)


def _health(port: int) -> str:
    """`ok`, or what is wrong."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request("GET", "/health")
        response = connection.getresponse()
        body = response.read(4096).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return f"the controller does not answer ({error})"
    finally:
        connection.close()
    return "ok" if response.status == 200 else body
