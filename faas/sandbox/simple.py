"""The simple engine: each sandbox is a process of this host, in a session of its own, killed whole. For machines without Docker; no security boundary."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from faas.domain.function import Network, Runtime
from faas.domain.ids import uuid7
from faas.errors import SandboxError
from faas.sandbox import exchange, supervise, toolchain
from faas.sandbox.engine import Owner
from faas.sandbox.exchange import Exchange
from faas.sandbox.session import Session, open_session
from faas.sandbox.simple_body import ProcessBody
from faas.sandbox.simple_go import GoCompiler

_AGENTS = Path(__file__).resolve().parents[2] / "runtime_images"
_GO_AGENT = _AGENTS / "go" / "agent"
_PATH = "/usr/local/bin:/usr/bin:/bin"
_START_S = 60.0
_OPEN_FILES = 1024


class SimpleEngine:
    """An `Engine` of processes.

    Args:
        work_dir: the worker's work folder; exchanges and the Go build cache lie in it.
        owner: the incarnation of this worker.
    """

    def __init__(self, work_dir: Path, owner: Owner) -> None:
        self._work_dir = work_dir.absolute()
        self._owner = owner
        self._lock = threading.Lock()
        self._sessions: set[Session] = set()
        self._node: Path | None = None
        self._go = GoCompiler(self._work_dir, exchange.owner_folder(self._work_dir, owner.worker), _PATH, _supervised)
        self._closed = False

    @property
    def name(self) -> str:
        """`simple`."""
        return "simple"

    def start(self, runtime: Runtime, network: Network) -> Session:
        """See `Engine.start`. `network` can't be kept from a process: a function reaches what the host does."""
        if self._closed:
            raise SandboxError("the engine is closed")
        command = self._command(runtime)
        sandbox_id = uuid7()
        place = Exchange(self._work_dir, self._owner, sandbox_id, copy=True)
        try:
            body = self._body(command, place, runtime)
        except BaseException:
            place.close()
            raise
        session = open_session(sandbox_id, place, body, self._forget, timeout_s=_START_S)
        with self._lock:
            late = self._closed
            self._sessions.add(session)
        if late:
            session.close()
            raise SandboxError("the engine is closed")
        return session

    def _body(self, command: list[str], place: Exchange, runtime: Runtime) -> ProcessBody:
        own = place.path / "tmp"
        try:
            own.mkdir(0o700)
        except OSError as exc:
            raise SandboxError(f"the folder {own} can't be made: {exc.strerror or exc}") from exc
        environment = {"PATH": _PATH, "HOME": str(own), "TMPDIR": str(own), "LANG": "C.UTF-8", "TZ": "UTC"}
        # A Go program is a child of its agent, whose own memory says nothing.
        return ProcessBody(_supervised(command), place.path, environment, own_memory=runtime is not Runtime.GO)

    def _forget(self, session: Session) -> None:
        with self._lock:
            self._sessions.discard(session)

    def _command(self, runtime: Runtime) -> list[str]:
        if runtime is Runtime.PYTHON:
            return [sys.executable, "-I", "-S", "-B", "-X", "utf8", str(_AGENTS / "python" / "agent.py"), "."]
        if runtime is Runtime.NODEJS:
            if self._node is None:
                self._node = toolchain.node()
            return [str(self._node), str(_AGENTS / "nodejs" / "agent.js"), "."]
        return [str(self._go.agent(_GO_AGENT)), "."]

    def compile(self, source: Path, output: Path, *, timeout_s: float) -> str | None:
        """See `Engine.compile`. The compiler runs as a process of this host."""
        # The agent is made now, while a function is being built, so that no call waits for it.
        self._go.agent(_GO_AGENT)
        return self._go.compile(source, output, timeout_s=timeout_s)

    def leftovers(self) -> set[str]:
        """See `Engine.leftovers`."""
        return exchange.owners(self._work_dir)

    def remove_leftovers(self, worker: str) -> int:
        """See `Engine.remove_leftovers`. Processes need no removal: a supervisor dies with its worker."""
        return exchange.remove_owner(self._work_dir, worker)

    def close(self) -> None:
        """See `Engine.close`."""
        with self._lock:
            self._closed = True
            sessions = list(self._sessions)
        for session in sessions:
            session.kill()
        for session in sessions:
            session.close()
        exchange.remove_owner(self._work_dir, self._owner.worker)


def _supervised(command: list[str]) -> list[str]:
    return [sys.executable, "-I", "-S", str(Path(supervise.__file__)), str(_OPEN_FILES), *command]
