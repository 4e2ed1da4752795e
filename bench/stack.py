"""The whole platform as its own processes, started by the same commands as in the Procfile, on the container engine."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
import docker.errors
import psycopg2
import requests

from bench.http import Connection
from bench.interrupts import deferred
from bench.processes import START_SECONDS, Processes
from bench.servers import Servers
from faas.embedded.ports import LOOPBACK, free_port
from faas.sandbox.container_options import OWNER_LABEL

_CONTROLLER = ("gunicorn", "-c", "python:faas.web.gunicorn", "faas.web:create_app()")
_WORKER = ("celery", "-A", "faas", "worker", "--without-gossip", "--without-mingle", "--without-heartbeat")
_CLOCK = ("faas.cli", "clock")
# How the platform is tuned is the caller's to say; where its servers are is ours.
_PASSED = ("WORKER_", "WEB_CONCURRENCY", "DOCKER_", "LOG_LEVEL", "HOME")
_BOUND_SECONDS = 180.0
_ONE_MORE = "SELECT 1 FROM invocations WHERE status IN ('queued', 'running') OFFSET %s LIMIT 1"
_POLL_SECONDS = 0.01

ECHO = "def handler(event, context):\n    return event\n"
ECHO_NODEJS = "exports.handler = async (event) => event;\n"
SLEEPER = "import time\n\n\ndef handler(event, context):\n    time.sleep(0.05)\n"
# Reads its payload and writes it back, by the standard library alone.
ECHO_GO = 'package main\n\nimport (\n\t"io"\n\t"os"\n)\n\nfunc main() {\n\tio.Copy(os.Stdout, os.Stdin)\n}\n'
_HANDLERS = {"python": "main.handler", "nodejs": "index.handler", "go": "main"}


class Stack:
    """Controllers, workers and a clock on servers that run.

    Args:
        environ: the outer environment.
        settings: of this stack's programs, over all others.
    """

    def __init__(
        self, processes: Processes, servers: Servers, environ: Mapping[str, str], settings: Mapping[str, str] = {}
    ) -> None:
        self.processes, self.servers = processes, servers
        self._outer = {name: value for name, value in environ.items() if name.startswith(_PASSED)}
        self._settings = dict(settings)
        self.port = 0
        # Containers of a worker that had to be killed are known by it.
        self.name = f"bench-{secrets.token_hex(4)}"
        self._numbers = iter(range(1, 1 << 30))

    def migrate(self) -> None:
        """Make the tables."""
        self.processes.run(self.processes.program("migrations", ("faas.cli", "db", "upgrade"), self._environment()))

    def start_controller(self, name: str = "controller") -> None:
        """Start a controller, and wait until it serves."""
        self.port = free_port()
        environment = {**self._environment(), "SERVER_ADDR": f"{LOOPBACK}:{self.port}"}
        self.processes.start(self.processes.program(name, _CONTROLLER, environment))
        self._eventually("the controller serves", self._serves)

    def start_workers(
        self, names: Sequence[str] = ("worker",), prefixes: Sequence[Sequence[str]] = (), **settings: str
    ) -> None:
        """Start workers, and wait until all have beaten.

        Args:
            prefixes: a command for each, to run it in.
            settings: over those of the stack.
        """
        before = self.count("SELECT count(*) FROM workers")
        for name, prefix in zip(names, prefixes or [()] * len(names), strict=True):
            environment = {**self._environment(), **settings, "WORKER_ID": f"{self.name}-{name}"}
            module = (*_WORKER, "-n", f"{name}@%h")
            self.processes.start(self.processes.program(name, module, environment, prefix))
        count = before + len(names)
        self._eventually("every worker has beaten", lambda: self.count("SELECT count(*) FROM workers") >= count)

    def start_clock(self) -> None:
        """Start the reconciler."""
        self.processes.start(self.processes.program("clock", _CLOCK, self._environment()))

    def restart_worker(self, **settings: str) -> None:
        """A fresh worker with other settings, and no sandboxes yet but its stock."""
        self.processes.stop("worker")
        self.start_workers(**settings)

    @deferred()
    def stop(self) -> None:
        """Stop everything that belongs to it, and remove what a killed worker left."""
        self.processes.stop("controller", "clock", "worker")
        # A Docker that hangs over hundreds of containers must not cost the figures.
        hangs = (docker.errors.DockerException, requests.RequestException)
        with contextlib.suppress(*hangs), contextlib.closing(docker.from_env()) as client:
            ids = [one["Id"] for one in containers(client, self.name)]
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda one: _remove(client, one), ids))

    # -- the API

    def connect(self) -> Connection:
        """A connection to the controller."""
        return Connection(LOOPBACK, self.port)

    def deploy(self, connection: Connection, source: str, runtime: str = "python", **fields: Any) -> str:
        """Create a function, and wait until it can be called; its id."""
        body = {
            "name": f"bench-{next(self._numbers)}",
            "runtime": runtime,
            "handler": _HANDLERS[runtime],
            "code": base64.b64encode(source.encode()).decode(),
            **fields,
        }
        function = connection.json("POST", "/functions", body, expected=201)

        def built() -> bool:
            return bool(connection.json("GET", f"/functions/{function['id']}")["state"] != "building")

        if function["state"] == "building":
            self._eventually("the function is built", built)
        return str(function["id"])

    # -- the database

    def count(self, statement: str, *parameters: Any) -> int:
        """The number that a statement gives."""
        return int(self.text(statement, *parameters))

    def text(self, statement: str, *parameters: Any) -> str:
        """The one value that a statement gives, as text."""
        connection = psycopg2.connect(self.servers.database_url, connect_timeout=10)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                row = cursor.fetchone()
                return str(row[0]) if row else ""
        finally:
            connection.close()

    def await_terminal(self, left: int = 0) -> float:
        """Wait until all invocations (but `left`) are terminal; the moment, by `perf_counter`.

        Asks whether there is one more, and not how many: counting thousands over and over would be a load of its own.
        """
        deadline = time.monotonic() + _BOUND_SECONDS
        connection = psycopg2.connect(self.servers.database_url, connect_timeout=10)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                while True:
                    asked = time.perf_counter()
                    cursor.execute(_ONE_MORE, (left,))
                    if cursor.fetchone() is None:
                        return time.perf_counter()
                    if time.monotonic() > deadline:
                        raise RuntimeError(f"invocations are not terminal after {_BOUND_SECONDS:.0f} s")
                    time.sleep(max(_POLL_SECONDS, 10 * (time.perf_counter() - asked)))
        finally:
            connection.close()

    def _serves(self) -> bool:
        with contextlib.closing(self.connect()) as connection:
            try:
                return connection.call("GET", "/health/live")[0] == 200
            except OSError:
                return False

    def _eventually(self, what: str, look: Any) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not look():
            if time.monotonic() > deadline:
                raise RuntimeError(f"it took too long until {what} (see {self.processes.root / 'logs'})")
            time.sleep(0.05)

    def _environment(self) -> dict[str, str]:
        return {
            # As `faas dev` has it.
            "WEB_CONCURRENCY": "1",
            # Workers are made to stand still for a while here, and are not to be taken as lost.
            "WORKER_LEASE": "120",
            "WORKER_GRACE": "5",
            "HOME": "/",
            **self._outer,
            "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
            "DATABASE_URL": self.servers.near_database_url,
            "REDIS_URL": self.servers.redis_url,
            "STORAGE_BASE_DIR": f"{self.storage}",
            "WORKER_WORK_DIR": f"{self.processes.root / 'work'}",
            "WORKER_RUNTIME_TYPE": "container",
            **self._settings,
        }

    @property
    def storage(self) -> Path:
        """Where packages are kept."""
        return self.processes.root / "functions"


def call_body(function: str, payload: Any = None) -> bytes:
    """The body of `POST /invoke`."""
    return json.dumps({"function_id": function, "payload": payload}).encode()


def invoke(connection: Connection, body: bytes) -> bytes:
    """A call that waits for the end; the record's text. Raises RuntimeError where it did not succeed."""
    status, answer = connection.call("POST", "/invoke", body, "Prefer: wait=60\r\n")
    # Not parsed here: the reference's client gets its result parsed, but no record around it.
    if status != 200 or b'"succeeded"' not in answer:
        raise RuntimeError(f"a call was answered with {status}: {answer[:400].decode(errors='replace')}")
    return answer


def submit(connection: Connection, body: bytes) -> None:
    """A call that does not wait."""
    status, answer = connection.call("POST", "/invoke", body)
    if status != 202:
        raise RuntimeError(f"a call was answered with {status}: {answer[:400].decode(errors='replace')}")


def containers(client: docker.DockerClient, name: str) -> list[dict[str, Any]]:
    """The containers of a stack's workers."""
    found = client.api.containers(all=True, filters={"label": OWNER_LABEL})
    return [one for one in found if one["Labels"][OWNER_LABEL].startswith(name)]


def _remove(client: docker.DockerClient, container_id: str) -> None:
    with contextlib.suppress(docker.errors.APIError):
        client.api.remove_container(container_id, force=True, v=True)
