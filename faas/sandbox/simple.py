"""The simple engine: each sandbox is a process of this host, in a session of its own, killed whole. For machines without Docker; no security boundary."""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
import threading
from pathlib import Path

from faas.domain.function import Network, Runtime
from faas.domain.ids import uuid7
from faas.errors import SandboxError
from faas.sandbox import exchange, gobuild, supervise, toolchain
from faas.sandbox.engine import Owner
from faas.sandbox.exchange import Exchange
from faas.sandbox.session import Session, open_session
from faas.sandbox.simple_body import ProcessBody

_AGENTS = Path(__file__).resolve().parents[2] / "runtime_images"
_PATH = "/usr/local/bin:/usr/bin:/bin"
_START_S = 60.0
_AGENT_BUILD_S = 300.0
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
        self._building = threading.Lock()
        self._sessions: set[Session] = set()
        self._commands: dict[Runtime, list[str]] = {}
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
            own = place.path / "tmp"
            own.mkdir(0o700)
            environment = {"PATH": _PATH, "HOME": str(own), "TMPDIR": str(own), "LANG": "C.UTF-8", "TZ": "UTC"}
            body = ProcessBody(_supervised(command), place.path, environment, own_memory=runtime is not Runtime.GO)
        except (OSError, SandboxError) as exc:
            place.close()
            raise (
                exc if isinstance(exc, SandboxError) else SandboxError(f"a sandbox's folder can't be made: {exc}")
            ) from exc
        session = open_session(sandbox_id, place, body, self._forget, timeout_s=_START_S)
        with self._lock:
            late = self._closed
            self._sessions.add(session)
        if late:
            session.close()
            raise SandboxError("the engine is closed")
        return session

    def _forget(self, session: Session) -> None:
        with self._lock:
            self._sessions.discard(session)

    def _command(self, runtime: Runtime) -> list[str]:
        with self._building:
            if runtime not in self._commands:
                self._commands[runtime] = self._find_command(runtime)
            return self._commands[runtime]

    def _find_command(self, runtime: Runtime) -> list[str]:
        if runtime is Runtime.PYTHON:
            return [sys.executable, "-I", "-S", "-B", "-X", "utf8", str(_AGENTS / "python" / "agent.py"), "."]
        if runtime is Runtime.NODEJS:
            return [str(toolchain.node()), str(_AGENTS / "nodejs" / "agent.js"), "."]
        return [str(self._go_agent()), "."]

    def _go_agent(self) -> Path:
        """The compiled agent of Go, kept by the digest of its sources."""
        source = _AGENTS / "go" / "agent"
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(source.iterdir()))).hexdigest()[:16]
        program = self._work_dir / "toolchain" / f"go-agent-{digest}"
        if not program.exists():
            words = self.compile(source, program, timeout_s=_AGENT_BUILD_S)
            if words is not None:
                raise SandboxError(f"the agent of Go can't be compiled: {words}")
        return program

    def compile(self, source: Path, output: Path, *, timeout_s: float) -> str | None:
        """See `Engine.compile`. The compiler runs as a process of this host."""
        go = toolchain.go()
        try:
            for folder in (self._work_dir, output.parent):
                folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._work_dir, prefix="build-") as name:
                return self._compile(go, source, Path(name), output, timeout_s)
        except OSError as exc:
            raise SandboxError(f"the compiler can't be run: {exc.strerror or exc}") from exc

    def _compile(self, go: toolchain.Go, source: Path, scratch: Path, output: Path, timeout_s: float) -> str | None:
        folder, made, home = scratch / "source", scratch / "program", scratch / "home"
        home.mkdir()
        targets = gobuild.prepare(source, folder)
        environment = {
            "PATH": _PATH,
            **gobuild.environment(folder, cache=str(self._work_dir / "go-cache"), home=str(home)),
        }
        if go.root is not None:
            environment["GOROOT"] = str(go.root)
        status, said = _run(gobuild.command(str(go.program), str(made), targets), folder, environment, timeout_s)
        if status is None:
            return f"The compiler did not end within {timeout_s:g} s."
        if status != 0 or not made.is_file():
            return gobuild.words(said)
        # Whole or not at all, also where another process makes the same.
        temporary = output.with_name(f".{output.name}-{uuid7()}")
        shutil.copyfile(made, temporary)
        temporary.chmod(0o755)
        temporary.replace(output)
        return None

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


def _supervised(command: list[str]) -> list[str]:
    return [sys.executable, "-I", "-S", str(Path(supervise.__file__)), str(_OPEN_FILES), *command]


def _run(command: list[str], folder: Path, environment: dict[str, str], timeout_s: float) -> tuple[int | None, bytes]:
    """Run a command to its end, and all that it starts.

    Returns:
        Its status, None where it had to be killed at the end of its time, and what it said on standard error.
    """
    with tempfile.TemporaryFile(dir=folder.parent) as said:
        body = ProcessBody(_supervised(command), folder, environment, own_memory=False, stderr=said.fileno())
        try:
            death = body.death(timeout_s)
        finally:
            body.remove()
        said.seek(0)
        if death is None:
            return None, b""
        return -(death.signal or 0) if death.exit_code is None else death.exit_code, said.read(gobuild.WORDS_BYTES)
