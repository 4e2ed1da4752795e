"""The platform with a link that can be spoilt between each of its parts and each server, a history of every invocation, and a dockerd of its own."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import docker
import psycopg2
import redis
from e2e.cluster import Cluster

from faas.embedded.process import Child, Program
from faas.errors import PlatformError
from faults import dockerd, history
from faults.proxy import Link, Proxy

# More than any plan of faults can use up: so what ends as a failure of the platform is a bug, and not bad luck.
RETRIES = 50
SERVERS = ("postgres", "redis")
# Words of log lines that say that the platform itself was surprised.
_BUGS = ("counted wrong", "nobody foresaw", "can't be kept", "a duty of the reconciler failed", "unexpected error")
_INCARNATION = re.compile(r"worker\d+\.[0-9a-f]{12}\.[0-9a-f]{8}")


class Platform(Cluster):
    """A cluster whose parts speak to PostgreSQL and Redis through links named `<part>-<server>`; what a test asks goes straight."""

    def __init__(self, root: Path, engine: str) -> None:
        super().__init__(root, engine)
        self.links: dict[str, Link] = {}
        self._proxy = Proxy()
        self.daemon: dockerd.Dockerd | None = None
        # Parts that a fault has stopped or ended. What else ends has ended by itself, which is a bug.
        self.down: set[str] = set()

    def use_daemon(self, daemon: dockerd.Dockerd, child: Child) -> None:
        """Have the workers use a Docker daemon of the suite's own."""
        self.daemon = daemon
        self._programs["dockerd"], self._children["dockerd"] = daemon.program, child

    def start(self) -> None:
        """Start everything, and keep a history."""
        super().start()
        history.install(self)

    def stop(self) -> None:
        """Stop everything in good order."""
        daemon = self._children.pop("dockerd", None)
        super().stop()
        if daemon is not None and self.daemon is not None:
            daemon.stop()
            self.daemon.remove()
        self._proxy.close()

    def _program(self, name: str, module: tuple[str, ...]) -> Program:
        program = super()._program(name, module)
        if name == "migrations":
            return program
        extra = {
            "DATABASE_URL": self._through(name, "postgres", self.database_url),
            "REDIS_URL": self._through(name, "redis", self.redis_url),
            "PLATFORM_RETRIES": f"{RETRIES}",
        }
        if self.daemon is not None:
            extra["DOCKER_HOST"] = self.daemon.url
        return replace(program, env={**program.env, **extra})

    def _through(self, part: str, server: str, url: str) -> str:
        port = urlsplit(url).port
        assert port is not None
        link = self.links[f"{part}-{server}"] = self._proxy.link(port)
        return url.replace(f":{port}/", f":{link.port}/")

    def begin(self, name: str) -> None:
        """Start a part. Docker gives its containerd 15 s and then gives up; on a busy machine whoever supervises it has to start it again."""
        tries = 3 if name == "dockerd" else 1
        while True:
            tries -= 1
            try:
                super().begin(name)
                return
            except PlatformError:
                if not tries:
                    raise

    # -- faults

    def end(self, name: str, number: signal.Signals) -> None:
        """End a part by a signal that it can't but end by."""
        self.down.add(name)
        if self.alive(name):
            self.kill(name, number)

    def ask_to_end(self, name: str) -> None:
        """SIGTERM, which is not waited for."""
        self.down.add(name)
        if self.alive(name):
            os.kill(self.pid(name), signal.SIGTERM)

    def come_back(self, name: str) -> None:
        """Start a part again that `end` has ended."""
        self.begin(name)
        self.down.discard(name)

    def pause(self, name: str, number: signal.Signals) -> None:
        """SIGSTOP or SIGCONT for a part and the processes of its group (gunicorn's serve)."""
        if self.alive(name):
            os.killpg(self.pid(name), number)

    def alive(self, name: str) -> bool:
        """Whether the part runs (or is stopped)."""
        return self._children[name].status is None

    def ended_by_themselves(self) -> list[str]:
        """Parts that have ended although no fault ended them."""
        return [name for name in self._children if name not in self.down and not self.alive(name)]

    def web_process(self, controller: str) -> int | None:
        """The process of a controller that serves."""
        pid = self.pid(controller)
        children = Path(f"/proc/{pid}/task/{pid}/children")
        found = children.read_text().split() if children.exists() else []
        return int(found[0]) if found else None

    def redis(self) -> redis.Redis:
        """A client that goes straight. Close it."""
        return redis.Redis.from_url(self.redis_url, socket_timeout=30)

    def connect(self) -> psycopg2.extensions.connection:
        """A connection that goes straight. Close it."""
        return psycopg2.connect(self.database_url, connect_timeout=10)

    def docker(self) -> docker.DockerClient:
        """See `Cluster.docker`."""
        if self.daemon is None:
            return super().docker()
        return docker.DockerClient(base_url=self.daemon.url, timeout=60)

    # -- what faults may hit, and what may come of it

    @property
    def controllers(self) -> list[str]:
        """The names of the controllers."""
        return [name for name in self._programs if name.startswith("controller")]

    def targets(self) -> dict[str, list[str]]:
        """The names that a plan of faults may use, by the kinds' `targets`."""
        return {
            "worker": self.workers,
            "controller": self.controllers,
            "clock": self.clocks,
            "link": list(self.links),
            "redis": ["redis"],
            "postgres": ["postgres"],
            "docker": ["dockerd"] if self.daemon is not None else [],
            # Under the daemon's name: a daemon that is away can't be asked to kill one.
            "container": ["dockerd"] if self.engine == "container" else [],
        }

    @property
    def expected_of_the_healthy(self) -> frozenset[str]:
        """How a function that does nothing wrong may end. A container that is killed from outside, by the daemon's end for one, looks
        like one that its function has killed."""
        return frozenset({"succeeded", "failed"} if self.engine == "container" else {"succeeded"})

    def complaints(self) -> set[str]:
        """What the parts have logged that no fault explains."""
        return {
            f"{name} logged: {line[:400]}"
            for name in self._programs
            if name not in (*SERVERS, "dockerd")
            for line in self.log(name).splitlines()
            if any(words in line for words in _BUGS)
        }

    # -- leftovers

    def incarnations(self) -> set[str]:
        """The incarnations of workers that the database knows."""
        return {name for (name,) in self.sql("SELECT id FROM workers")}

    def at_work(self) -> set[str]:
        """The incarnations that have claimed something and not ended it."""
        return {worker for (worker,) in self.sql("SELECT DISTINCT worker_id FROM invocations WHERE status = 'running'")}

    def leftovers(self) -> Iterator[str]:
        """What is there of workers that are dead, and what is counted of invocations that have ended."""
        living = self.incarnations()
        for owner in self.sandbox_owners() - living:
            yield f"a sandbox of {owner}"
        for words in self.processes():
            for owner in set(_INCARNATION.findall(words)) - living:
                yield f"a process of {owner}: {words}"
        for function, used in self.sql("SELECT function_id::text, used FROM slots WHERE used <> 0"):
            yield f"{used} slots in use of {function}"
        for (query,) in self.sql(
            "SELECT query FROM pg_stat_activity WHERE state LIKE 'idle in transaction%%' AND xact_start < now() - interval '1 second'"
        ):
            yield f"an open transaction: {query}"
        with self.redis() as client:
            if waiting := client.llen("faas"):
                yield f"{waiting} messages in Redis"
            if (keys := client.dbsize()) > 32:
                yield f"{keys} keys in Redis"
