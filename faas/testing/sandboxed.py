"""Functions in the sandboxes that the platform's workers use, without a platform: no database, no broker, no server."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from pathlib import Path

from faas.domain.function import Revision, Runtime
from faas.domain.ids import uuid7
from faas.domain.outcome import INIT_ERROR, Outcome, failed
from faas.errors import SandboxError
from faas.sandbox.call import Call
from faas.sandbox.engine import Engine, Owner, Sandbox
from faas.sandbox.shelf import unpack_source
from faas.testing.target import Target

_COMPILE_S = 300.0
_numbers = itertools.count(1)


class Engines:
    """The engines of a session of tests, each made when it is first asked for.

    Args:
        folder: for all that they need on disk.
        kept: a folder that outlives the session, for the work of the simple engine's Go compiler.
    """

    def __init__(self, folder: Path, kept: Path | None = None) -> None:
        self._folder, self._kept = folder, kept
        self._made: dict[str, Engine] = {}

    def get(self, kind: str) -> Engine:
        """An engine.

        Args:
            kind: `simple`, `container`, or `sandbox` for the better one that works here.

        Raises:
            SandboxError: containers can't be used here; the message says why.
        """
        from faas.sandbox import docker_client

        if kind == "sandbox":
            kind = "simple" if docker_client.available() else "container"
        if kind not in self._made:
            if kind == "container" and (reason := docker_client.available()) is not None:
                raise SandboxError(f"containers can't be used: {reason}")
            kept = self._kept if kind == "simple" else None
            self._made[kind] = _engine(kind, kept or self._folder / kind)
        return self._made[kind]

    def folder(self) -> Path:
        """A new folder."""
        made = self._folder / f"function-{next(_numbers)}"
        made.mkdir()
        return made

    def close(self) -> None:
        """Close all of them, and every sandbox of theirs."""
        for engine in self._made.values():
            engine.close()


def _engine(kind: str, work_dir: Path) -> Engine:
    work_dir.mkdir(exist_ok=True)
    owner = Owner(f"pytest-{uuid7()}")
    if kind == "simple":
        from faas.sandbox.simple import SimpleEngine

        return SimpleEngine(work_dir, owner)
    from faas.sandbox.container import ContainerEngine

    return ContainerEngine(work_dir, owner)


class Sandboxed:
    """A function in a sandbox, which stays warm from call to call as long as it may be used.

    Args:
        kind: as in `Engines.get`.
    """

    def __init__(self, engines: Engines, kind: str, target: Target) -> None:
        self._engine = engines.get(kind)
        self._engines, self._target = engines, target
        self._code: Path | None = None
        self._sandbox: Sandbox | None = None
        self._revision = Revision(uuid7(), target.name, 1, target.spec, "", "")

    def call(self, call: Call) -> Outcome:
        """Run one call. Raises SandboxError where the platform's own part fails."""
        if self._code is None:
            words = self._build()
            if words is not None:
                return failed(INIT_ERROR, words)
        init_ms, cold = 0, self._sandbox is None or not self._sandbox.usable
        if cold:
            loaded = self._start(call)
            if isinstance(loaded, Outcome):
                return self._shown(replace(loaded, cold_start=True))
            init_ms = loaded
        assert self._sandbox is not None
        return self._shown(replace(self._sandbox.invoke(call), init_ms=init_ms, cold_start=cold))

    def close(self) -> None:
        """Destroy the sandbox."""
        if self._sandbox is not None:
            self._sandbox.close()
            self._sandbox = None

    def _start(self, call: Call) -> Outcome | int:
        assert self._code is not None
        self.close()
        spec = self._target.spec
        self._sandbox = self._engine.start(spec.runtime, spec.network)
        return self._sandbox.specialise(self._revision, self._code, call.timeout_ms)

    def _build(self) -> str | None:
        """Lay the code out as the platform does, and compile it where it has to be; the compiler's words where it does not."""
        source = self._engines.folder()
        go = self._target.spec.runtime is Runtime.GO
        unpack_source(self._target.spec, self._target.packed(), source, read_only=not go)
        if not go:
            self._code = source
            return None
        out = self._engines.folder()
        words = self._engine.compile(source, out / "main", timeout_s=_COMPILE_S)
        if words is None:
            self._code = out
        return words

    def _shown(self, outcome: Outcome) -> Outcome:
        """What was printed, shown by pytest with a test that fails."""
        sys.stdout.write(outcome.logs.decode("utf-8", "replace"))
        return outcome
