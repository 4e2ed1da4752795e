"""The platform as real processes: PostgreSQL, Redis, controllers, workers and clocks, each of which a test may kill, stop and start again."""

from __future__ import annotations

import base64
import itertools
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import docker
import psycopg2
import pytest
import redis
import requests

from faas.embedded import postgres, redis_server
from faas.embedded.ports import LOOPBACK, free_port
from faas.embedded.process import Child, Program, run
from faas.sandbox import exchange
from faas.sandbox.container_options import OWNER_LABEL
from faas.services.vault import new_key
from faas.worker.context import is_of_platform

T = TypeVar("T")

# A slow machine with other things to do: no test here is about speed, so every wait is long.
PATIENCE = 90.0
START_SECONDS = 120.0
LEASE = 3.0
GRACE = 1.0
PLATFORM_RETRIES = 2
# Threads of a worker: few, since each may need a container.
THREADS = 12
TERMINAL = {"succeeded", "failed", "timed_out", "cancelled"}
HANDLERS = {"python": "main.handler", "nodejs": "index.handler", "go": "main"}
_MODULES = {
    "controller": ("gunicorn", "-c", "python:faas.web.gunicorn", "faas.web:create_app()"),
    "worker": ("celery", "-A", "faas", "worker", "--without-gossip", "--without-mingle", "--without-heartbeat"),
    "clock": ("faas.cli", "clock"),
}
_names = itertools.count(1)

# For what has nothing to do with sandboxes: it is shown with one engine.
WITH_ONE_ENGINE = pytest.mark.parametrize("platform", ["simple"], indirect=True)

# Sleeps, fails until a time, and returns when it ran: one function for most of what is proved.
WORK = """
import time, uuid

def handler(event, context):
    start = time.time()
    print("working for", context.invocation_id, flush=True)
    time.sleep(event.get("sleep", 0))
    if time.time() < event.get("fails_until", 0):
        raise RuntimeError("not yet")
    return {"start": start, "end": time.time(), "token": event.get("token"), "nonce": uuid.uuid4().hex}
"""


class Cluster:
    """A running platform.

    Args:
        root: a folder for everything: data, logs, work.
        engine: `container` or `simple`.
        settings: variables for every part.
    """

    def __init__(
        self,
        root: Path,
        engine: str,
        *,
        controllers: int = 2,
        workers: int = 2,
        clocks: int = 2,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.root, self.engine, self._settings = root, engine, settings or {}
        self.database_url = self.redis_url = ""
        self._ports: dict[str, int] = {}
        self.work = root / "work"
        self.secrets_key = new_key()
        self._platform_id = ""
        self._sizes = {"controller": controllers, "worker": workers, "clock": clocks}
        self._children: dict[str, Child] = {}
        self._programs: dict[str, Program] = {}
        self._made: list[str] = []

    def start_servers(self) -> None:
        """Start PostgreSQL, without any tables, and Redis."""
        _open_way_to(self.root)
        for folder in ("logs", "run", "functions"):
            (self.root / folder).mkdir()
        database = postgres.prepare(self.root / "postgres", self._log("postgres"))
        broker = redis_server.prepare(self.root / "redis", self._log("redis"))
        self.database_url, self.redis_url = database.url, broker.url
        self._programs |= {"postgres": database.program, "redis": broker.program}
        for name in ("postgres", "redis"):
            self.begin(name)

    def start(self) -> None:
        """Start everything, and wait until it is healthy."""
        self.start_servers()
        run(self._program("migrations", ("faas.cli", "db", "upgrade")), START_SECONDS)
        self._platform_id = str(self.sql("SELECT id FROM platform")[0][0])[-12:]
        self._ports = {f"controller{n}": free_port() for n in range(1, self._sizes["controller"] + 1)}
        for role, size in self._sizes.items():
            for n in range(1, size + 1):
                self._programs[f"{role}{n}"] = self._program(f"{role}{n}", _MODULES[role])
        self.settle()

    def settle(self) -> None:
        """Start again what a test has ended, and wait until every worker is known and every controller healthy."""
        for name in self._programs:
            if name not in self._children or self._children[name].status is not None:
                self.begin(name)
        eventually(lambda: self.known_workers() == set(self.workers), "every worker is known once", START_SECONDS)
        for controller in self._ports:
            eventually(lambda one=controller: self._healthy(one), f"{controller} is healthy", START_SECONDS)

    def stop(self) -> None:
        """Stop everything in good order."""
        for role in ("controller", "clock", "worker", "redis", "postgres"):
            named = [child for name, child in self._children.items() if name.startswith(role)]
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(Child.stop, named))
        self._children.clear()

    # -- the parts

    @property
    def workers(self) -> list[str]:
        """The names of the workers, which are their `WORKER_ID` too."""
        return [name for name in self._programs if name.startswith("worker")]

    @property
    def clocks(self) -> list[str]:
        """The names of the clocks."""
        return [name for name in self._programs if name.startswith("clock")]

    def begin(self, name: str) -> None:
        """Start a part; PostgreSQL and Redis come back on their old ports."""
        if name in self._children:
            self._children[name].kill()
        child = self._children[name] = Child(self._programs[name])
        child.wait_ready(START_SECONDS)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to a part's first process; where it must end by it, its end is waited for."""
        child = self._children[name]
        os.kill(child.pid, number)
        if number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
            self.await_end(name)

    def await_end(self, name: str) -> int:
        """Wait until a part has ended; its status."""
        child = self._children[name]
        eventually(lambda: child.status is not None, f"{name} has ended")
        return int(child.status or 0)

    def pid(self, name: str) -> int:
        """The process id of a part."""
        return self._children[name].pid

    def log(self, name: str) -> str:
        """What a part has logged."""
        return self._log(name).read_text(errors="replace")

    def flush_redis(self) -> None:
        """Wipe Redis."""
        with redis.Redis.from_url(self.redis_url) as client:
            client.flushall()

    def backlog(self) -> int:
        """How many messages lie in Redis."""
        with redis.Redis.from_url(self.redis_url) as client:
            return int(client.llen("faas"))

    def environment(self) -> dict[str, str]:
        """The settings of every part."""
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
            "HOME": os.environ.get("HOME", "/"),
            **{name: value for name, value in os.environ.items() if name.startswith("DOCKER_")},
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "STORAGE_BASE_DIR": f"{self.root / 'functions'}",
            "WORKER_WORK_DIR": f"{self.work}",
            "WORKER_RUNTIME_TYPE": self.engine,
            "WORKER_LEASE": f"{LEASE}",
            "WORKER_GRACE": f"{GRACE}",
            "WORKER_CONCURRENCY": f"{THREADS}",
            "WORKER_MEMORY_MB": "8192",
            "PLATFORM_RETRIES": f"{PLATFORM_RETRIES}",
            "FAAS_SECRETS_KEY": self.secrets_key,
            **self._settings,
        }

    def _program(self, name: str, module: tuple[str, ...]) -> Program:
        if "worker" in module:
            # Celery's remote control tells the workers of one host apart by this.
            module = (*module, "-n", f"{name}@%h")
        extra = {"WORKER_ID": name} | ({"PORT": f"{self._ports[name]}"} if name in self._ports else {})
        program = Program(
            name, (sys.executable, "-m", *module), {**self.environment(), **extra}, self._log(name), self.root / "run"
        )
        # gunicorn's master takes its processes with it when we die; a worker may take its grace to end.
        return replace(
            program, death_signal=signal.SIGQUIT if name.startswith("controller") else signal.SIGKILL, stop_seconds=30.0
        )

    def _log(self, name: str) -> Path:
        return self.root / "logs" / f"{name}.log"

    def _healthy(self, controller: str) -> bool:
        try:
            return requests.get(f"{self.url(controller)}/health", timeout=10).status_code == 200
        except requests.RequestException:
            return False

    # -- what is in the database

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a statement."""
        connection = psycopg2.connect(self.database_url, connect_timeout=10)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            connection.close()

    def known_workers(self) -> set[str]:
        """The names of the workers that the database knows; one known twice (a lost incarnation) is there with a mark."""
        found: set[str] = set()
        for (name,) in self.sql("SELECT name FROM workers"):
            found.add(f"{name} again" if name in found else name)
        return found

    def attempts(self, invocation_id: str) -> list[tuple[int, str, str | None, str]]:
        """The attempts that were followed by another: (number, status, error type, the worker's incarnation)."""
        rows = self.sql(
            "SELECT number, status, error_type, worker_id FROM attempts WHERE invocation_id = %s ORDER BY number",
            invocation_id,
        )
        return [(number, status, error_type, worker) for number, status, error_type, worker in rows]

    # -- the API

    def url(self, controller: str = "controller1") -> str:
        """Where a controller serves."""
        return f"http://{LOOPBACK}:{self._ports[controller]}"

    def call(self, method: str, path: str, *, controller: str = "controller1", **options: Any) -> requests.Response:
        """Any request."""
        return requests.request(method, self.url(controller) + path, **{"timeout": PATIENCE, **options})

    def deploy(self, source: str = WORK, runtime: str = "python", *, state: str = "active", **fields: Any) -> str:
        """Create a function, and wait until it is built; its id. `tidy` deletes it."""
        function_id = self.create(source, runtime, **fields)
        self.built(function_id, state)
        return function_id

    def create(self, source: str, runtime: str, **fields: Any) -> str:
        """Create a function; its id."""
        body = {"name": f"e2e-{next(_names)}", "runtime": runtime, "handler": HANDLERS[runtime], **fields}
        answer = self.call("POST", "/functions", json={**body, "code": base64.b64encode(source.encode()).decode()})
        assert answer.status_code == 201, answer.text
        self._made.append(answer.json()["id"])
        return str(answer.json()["id"])

    def built(self, function_id: str, state: str = "active") -> dict[str, Any]:
        """The function once it is built, which must end in `state`."""

        def look() -> dict[str, Any] | None:
            function = self.call("GET", f"/functions/{function_id}").json()
            return function if function["state"] != "building" else None

        function = eventually(look, "the function is built", 2 * PATIENCE)
        assert function["state"] == state, function["state_reason"]
        return function

    def submit(
        self,
        function: str,
        payload: Any = None,
        *,
        controller: str = "controller1",
        headers: dict[str, str] | None = None,
    ) -> str:
        """Have an invocation accepted; its id."""
        answer = self.call(
            "POST",
            "/invoke",
            controller=controller,
            json={"function_id": function, "payload": payload or {}},
            headers=headers,
        )
        assert answer.status_code == 202, (answer.status_code, answer.text)
        return str(answer.json()["id"])

    def submit_all(self, function: str, payloads: Sequence[Any], threads: int = 8) -> list[str]:
        """Have many accepted, by both controllers in turn; their ids in the order of the payloads."""
        controllers = itertools.cycle(self._ports)
        jobs = list(zip(payloads, controllers, strict=False))
        return parallel(lambda job: self.submit(function, job[0], controller=job[1]), jobs, threads)

    def record(self, invocation_id: str) -> dict[str, Any]:
        """An invocation as it is now."""
        answer = self.call("GET", f"/invocations/{invocation_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def wait(self, invocation_id: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """The terminal record."""

        def look() -> dict[str, Any] | None:
            record = self.record(invocation_id)
            return record if record["status"] in TERMINAL else None

        try:
            return eventually(look, f"invocation {invocation_id} is terminal", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.record(invocation_id)}, {self.attempts(invocation_id)}") from None

    def wait_all(self, ids: Iterable[str], seconds: float = PATIENCE) -> list[dict[str, Any]]:
        """The terminal records, in the order of the ids."""
        wanted = list(ids)

        def left() -> int:
            sql = "SELECT count(*) FROM invocations WHERE id = ANY (%s::uuid[]) AND status IN ('queued', 'running')"
            return int(self.sql(sql, wanted)[0][0])

        eventually(lambda: left() == 0, f"{len(wanted)} invocations are terminal", seconds)
        return parallel(self.record, wanted)

    def invoke(self, function: str, payload: Any = None) -> dict[str, Any]:
        """Invoke, and wait for the terminal record."""
        return self.wait(self.submit(function, payload))

    def running(self, invocation_id: str, attempt: int = 1) -> str:
        """Wait until an attempt runs in its sandbox (or a later one does); the name of the worker that has it."""

        def look() -> dict[str, Any] | None:
            record = self.record(invocation_id)
            assert record["status"] not in TERMINAL, record
            return record if record["status"] == "running" and record["attempts"] >= attempt else None

        return worker_name(eventually(look, f"attempt {attempt} of {invocation_id} runs")["worker_id"])

    def claimed(self, invocation_id: str) -> str:
        """Wait until an attempt has begun, and maybe ended; the name of the worker that had it."""
        return worker_name(eventually(lambda: self.record(invocation_id)["worker_id"], f"a worker has {invocation_id}"))

    def cancel(self, invocation_id: str) -> int:
        """Cancel; the status of the answer."""
        return self.call("POST", f"/invocations/{invocation_id}/cancel").status_code

    def tidy(self) -> None:
        """Delete what a test has deployed, and wait until nothing of it runs."""
        made, self._made = self._made, []
        for function_id in made:
            self.call("DELETE", f"/functions/{function_id}")
            for (one,) in self.sql(
                "SELECT id FROM invocations WHERE function_id = %s AND status = 'running'", function_id
            ):
                self.cancel(one)
        sql = "SELECT id, status, worker_id FROM invocations WHERE status IN ('queued', 'running')"
        eventually(lambda: not self.sql(sql), "nothing is left to run")

    # -- leftovers

    def sandbox_owners(self) -> set[str]:
        """The incarnations that have containers or folders of sandboxes."""
        return exchange.owners(self.work) | {owner for _, owner in self.containers()}

    def docker(self) -> docker.DockerClient:
        """A client of the daemon that the workers use. Close it."""
        return docker.from_env(timeout=60)

    def containers(self) -> list[tuple[str, str]]:
        """The containers of this platform: (id, owner)."""
        if self.engine != "container":
            return []
        client = self.docker()
        try:
            found = client.api.containers(all=True, filters={"label": OWNER_LABEL})
        finally:
            client.close()
        owners = [(one["Id"], one["Labels"][OWNER_LABEL]) for one in found]
        return [(id_, owner) for id_, owner in owners if is_of_platform(owner, self._platform_id)]

    def processes(self) -> list[str]:
        """The processes of this platform and of its sandboxes: those that stand in its folder, or have it in their words or variables."""
        mark, found = os.fsencode(self.root), []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes()
                if int(entry.name) == os.getpid() or not words:
                    continue
                place = os.fsencode((entry / "cwd").readlink())
                if mark in words or mark in place or mark in (entry / "environ").read_bytes():
                    found.append(f"{entry.name} {words.decode(errors='replace')}")
            except OSError:
                continue
        return found


def worker_name(incarnation: str) -> str:
    """The `WORKER_ID` of an incarnation."""
    return incarnation.split(".")[0]


def eventually(look: Callable[[], T | None], what: str, seconds: float = PATIENCE) -> T:
    """What `look` returns once that is true. Fails when the time is over."""
    deadline, pause = time.monotonic() + seconds, 0.02
    while not (found := look()):
        assert time.monotonic() < deadline, f"after {seconds:.0f} s it is still not so that {what}"
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)
    return found


def parallel(action: Callable[[Any], T], items: Iterable[Any], threads: int = 8) -> list[T]:
    """`action` of every item, in threads; results in the items' order."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(action, items))


def peak(intervals: Iterable[tuple[float, float]]) -> int:
    """The most intervals that are open at once."""
    steps = sorted((step for start, end in intervals for step in ((start, 1), (end, -1))), key=lambda step: step)
    return max(itertools.accumulate(step for _, step in steps), default=0)


def median(records: Iterable[dict[str, Any]], field: str) -> float:
    """The median of a field of records."""
    return statistics.median(record[field] for record in records)


def _open_way_to(root: Path) -> None:
    """An account of its own serves PostgreSQL where the tests run as root: it must get through to its folder."""
    for folder in (root, *root.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/") and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
