"""Go on this host: the compiler as a process of the host's, and the agent that it makes of its sources."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from faas.domain.ids import uuid7
from faas.errors import SandboxError
from faas.sandbox import exchange, gobuild, toolchain
from faas.sandbox.simple_body import ProcessBody

_AGENT_BUILD_S = 600.0


class GoCompiler:
    """Compiles programs, with a build cache that outlives it.

    Args:
        work_dir: where the cache and the agent are kept.
        folder: where a build's own folder is put; whoever clears away after a killed worker removes it.
        path: the compiler's `PATH`.
        supervised: makes the command that runs another one and kills it whole.
    """

    def __init__(self, work_dir: Path, folder: Path, path: str, supervised: Callable[[list[str]], list[str]]) -> None:
        self._work_dir = work_dir
        self._folder = folder
        self._path = path
        self._supervised = supervised
        self._lock = threading.Lock()

    def agent(self, source: Path) -> Path:
        """The agent's program, kept by the digest of its sources. The first build of a machine takes up to a minute: the standard library is in it.

        Raises:
            SandboxError: it can't be compiled.
        """
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(source.iterdir()))).hexdigest()[:16]
        program = self._work_dir / "toolchain" / f"go-agent-{digest}"
        with self._lock:
            if not program.exists():
                words = self.compile(source, program, timeout_s=_AGENT_BUILD_S)
                if words is not None:
                    raise SandboxError(f"the agent of Go can't be compiled: {words}")
        return program

    def compile(self, source: Path, output: Path, *, timeout_s: float) -> str | None:
        """See `Engine.compile`."""
        go = toolchain.go()
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            with exchange.scratch(self._folder) as scratch:
                return self._compile(go, source, scratch, output, timeout_s)
        except OSError as exc:
            raise SandboxError(f"the compiler can't be run: {exc.strerror or exc}") from exc

    def _compile(self, go: toolchain.Go, source: Path, scratch: Path, output: Path, timeout_s: float) -> str | None:
        folder, made, home = scratch / "source", scratch / "program", scratch / "home"
        home.mkdir()
        targets = gobuild.prepare(source, folder)
        environment = {
            "PATH": self._path,
            **gobuild.environment(folder, cache=str(self._work_dir / "go-cache"), home=str(home)),
        }
        if go.root is not None:
            environment["GOROOT"] = str(go.root)
        status, said = self._run(gobuild.command(str(go.program), str(made), targets), folder, environment, timeout_s)
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

    def _run(
        self, command: list[str], folder: Path, environment: dict[str, str], timeout_s: float
    ) -> tuple[int | None, bytes]:
        """Run a command to its end, and all that it starts.

        Returns:
            Its status, None where it had to be killed at the end of its time, and what it said on standard error.
        """
        with tempfile.TemporaryFile(dir=folder.parent) as said:
            body = ProcessBody(self._supervised(command), folder, environment, own_memory=False, stderr=said.fileno())
            try:
                death = body.death(timeout_s)
            finally:
                body.remove()
            said.seek(0)
            if death is None:
                return None, b""
            return -(death.signal or 0) if death.exit_code is None else death.exit_code, said.read(gobuild.WORDS_BYTES)
