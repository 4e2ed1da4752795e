"""The engine that makes a Docker container of each sandbox: the one that is a security boundary."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
from docker.models.containers import Container

from faas.domain.function import Network, Runtime
from faas.errors import SandboxError
from faas.sandbox import exchange as exchanges
from faas.sandbox.container_body import ContainerBody
from faas.sandbox.container_compile import Compiler
from faas.sandbox.container_options import EXCHANGE, OWNER_LABEL, SANDBOX_LABEL, NetworkDoor, bind, hardened
from faas.sandbox.docker_client import available, connect, image_of, translated
from faas.sandbox.engine import Owner
from faas.sandbox.exchange import Exchange
from faas.sandbox.network import Egress
from faas.sandbox.session import Session, open_session

__all__ = ["ContainerEngine", "available"]

# What the agent starts with, before a revision's own limits are set; only trusted code runs until then.
_START_MB, _START_CPUS = 256, 1.0
_TMP_MB = 64
# More containers at once than this make each one slower, and Docker no faster.
_PARALLEL_STARTS = 4


class ContainerEngine:
    """Sandboxes as containers (see `faas.sandbox.engine.Engine`). Docker is not asked for anything before the first one.

    Args:
        work_dir: the worker's work folder.
        owner: the incarnation of the worker.
        platform: the platform's id, which names the network of sandboxes with egress.
        resolvers: the DNS servers that those ask.
        oci_runtime: the runtime that Docker runs containers with; its default one where it is empty.
        docker_timeout_s: the longest that Docker may take to answer.
        start_timeout_s: the longest from a container's start till its agent has connected.
    """

    name = "container"

    def __init__(
        self,
        work_dir: Path,
        owner: Owner,
        *,
        platform: str = "none",
        resolvers: Sequence[str] = ("1.1.1.1", "9.9.9.9"),
        oci_runtime: str = "",
        docker_timeout_s: int = 30,
        start_timeout_s: float = 30.0,
    ) -> None:
        self._work_dir = work_dir.absolute()
        self._owner = owner
        self._egress = Egress(self._docker, platform, resolvers, self._work_dir / "egress")
        self._oci_runtime = oci_runtime
        self._docker_timeout_s = docker_timeout_s
        self._start_timeout_s = start_timeout_s
        self._lock = threading.Lock()
        self._client: docker.DockerClient | None = None
        self._sessions: set[Session] = set()
        self._starts = threading.BoundedSemaphore(_PARALLEL_STARTS)
        self._background = ThreadPoolExecutor(max_workers=4, thread_name_prefix="containers")

    def start(self, runtime: Runtime, network: Network) -> Session:
        """See `Engine.start`."""
        sandbox_id = uuid.uuid4().hex[:16]
        with self._starts:
            exchange = Exchange(self._work_dir, self._owner, sandbox_id)
            try:
                body = self._body(runtime, network, sandbox_id, exchange)
            except BaseException:
                exchange.close()
                raise
            session = open_session(sandbox_id, exchange, body, self._forget, timeout_s=self._start_timeout_s)
        with self._lock:
            self._sessions.add(session)
        return session

    def compile(self, source: Path, output: Path, *, timeout_s: float) -> str | None:
        """See `Engine.compile`."""
        folder = exchanges.owner_folder(self._work_dir, self._owner.worker)
        return Compiler(self._docker(), self._labels(), folder, oci_runtime=self._oci_runtime).compile(
            source, output, timeout_s
        )

    def leftovers(self) -> set[str]:
        """See `Engine.leftovers`."""
        with translated("list the sandboxes"):
            found = self._docker().api.containers(all=True, filters={"label": OWNER_LABEL})
        return {container["Labels"][OWNER_LABEL] for container in found} | exchanges.owners(self._work_dir)

    def remove_leftovers(self, worker: str) -> int:
        """See `Engine.remove_leftovers`."""
        return self._remove_containers(worker) + exchanges.remove_owner(self._work_dir, worker)

    def close(self) -> None:
        """See `Engine.close`."""
        with self._lock:
            sessions = list(self._sessions)
        for session in sessions:
            session.close()
        self._background.shutdown()
        with self._lock:
            client = self._client
        if client is None:
            return
        # What Docker made after we had stopped waiting for its answer.
        with contextlib.suppress(SandboxError):
            self._remove_containers(self._owner.worker)
        self._egress.close()
        with self._lock:
            self._client = None
        client.close()

    def _docker(self) -> docker.DockerClient:
        with self._lock:
            if self._client is None:
                self._client = connect(self._docker_timeout_s)
            return self._client

    def _labels(self) -> dict[str, str]:
        return {OWNER_LABEL: self._owner.worker}

    def _body(self, runtime: Runtime, network: Network, sandbox_id: str, exchange: Exchange) -> ContainerBody:
        if network is Network.NONE:
            return self._run(self._create(runtime, sandbox_id, exchange), runtime)
        with self._egress.open() as door:
            return self._run(self._create(runtime, sandbox_id, exchange, door), runtime, self._egress.seal)

    def _create(
        self, runtime: Runtime, sandbox_id: str, exchange: Exchange, door: NetworkDoor | None = None
    ) -> Container:
        options = hardened(
            name=f"faas-{sandbox_id}",
            labels={**self._labels(), SANDBOX_LABEL: sandbox_id},
            mounts=[bind(exchange.path, EXCHANGE, read_only=True)],
            memory_mb=_START_MB,
            cpus=_START_CPUS,
            tmp_mb=_TMP_MB,
            door=door,
            oci_runtime=self._oci_runtime,
        )
        with translated(f"make a {runtime.value} sandbox"):
            return self._docker().containers.create(image_of(runtime), **options)

    def _run(
        self, container: Container, runtime: Runtime, seal: Callable[[Container], None] = lambda _: None
    ) -> ContainerBody:
        with _removed_on_error(container), translated("start a sandbox"):
            container.start()
            seal(container)
            return ContainerBody(container, runtime, self._later)

    def _later(self, work: Callable[[], None]) -> None:
        try:
            self._background.submit(work)
        except RuntimeError:
            # The engine is closed; a late one does its own waiting.
            work()

    def _remove_containers(self, worker: str) -> int:
        removed = 0
        with translated("remove a dead worker's sandboxes"):
            client = self._docker()
            for found in client.api.containers(all=True, filters={"label": f"{OWNER_LABEL}={worker}"}):
                removed += _remove(client, found["Id"])
        return removed

    def _forget(self, session: Session) -> None:
        with self._lock:
            self._sessions.discard(session)


def _remove(client: docker.DockerClient, container_id: str) -> bool:
    try:
        client.api.remove_container(container_id, force=True, v=True)
    except docker.errors.APIError as exc:
        # Somebody else is, or was, at the same work.
        if exc.status_code not in (404, 409):
            raise
        return False
    return True


@contextlib.contextmanager
def _removed_on_error(container: Container) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with contextlib.suppress(SandboxError), translated("remove a sandbox"):
            container.remove(force=True, v=True)
        raise
