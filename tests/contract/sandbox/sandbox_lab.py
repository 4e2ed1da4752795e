"""What the contract tests of the engines share: sandboxes of the laboratory functions, made when needed and used again while they may be."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

from faas.domain.function import Network, Revision, Runtime, Spec
from faas.domain.invocation import Status
from faas.domain.outcome import Outcome
from faas.sandbox.call import Call
from faas.sandbox.engine import Engine, Sandbox

FUNCTIONS = Path(__file__).with_name("functions")
ENVIRONMENT = {"STAGE": "prüfung ☂", "EMPTY": "", "LINES": "a\nb=c"}
HEADERS = {"X-Trace-Id": "t-☂-1", "plain": "p"}
TIMEOUT_MS = 30_000
_numbers = itertools.count(1)


def revision(runtime: Runtime, handler: str, **spec: Any) -> Revision:
    """A revision of a function called `lab`."""
    return Revision("an-id", "lab", 7, Spec(runtime, handler, **{"memory_mb": 256, **spec}), "sha256:x", "sha256:x")


class Workshop:
    """Makes sandboxes of an engine."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self._folder = folder
        self._sandboxes: list[Sandbox] = []

    def code(self, files: dict[str, str | bytes]) -> Path:
        """A folder with these files, modes as the shelf gives them."""
        folder = self._folder / f"code-{next(_numbers)}"
        folder.mkdir()
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
            path.chmod(0o444)
        return folder

    def program(self, files: dict[str, str | bytes]) -> Path:
        """A folder with the program compiled of these files."""
        folder = self._folder / f"program-{next(_numbers)}"
        folder.mkdir()
        words = self.engine.compile(self.code(files), folder / "main", timeout_s=300)
        assert words is None, words
        return folder

    def start(self, runtime: Runtime) -> Sandbox:
        """A generic sandbox, closed at the end."""
        sandbox = self.engine.start(runtime, Network.NONE)
        self._sandboxes.append(sandbox)
        return sandbox

    def load(
        self, runtime: Runtime, handler: str, code: Path, timeout_ms: int = TIMEOUT_MS, **spec: Any
    ) -> tuple[Sandbox, Outcome | int]:
        """A sandbox and what its loading gave."""
        sandbox = self.start(runtime)
        return sandbox, sandbox.specialise(revision(runtime, handler, **spec), code, timeout_ms)

    def ready(self, runtime: Runtime, handler: str, code: Path, **spec: Any) -> Sandbox:
        """A sandbox with its code loaded."""
        sandbox, loaded = self.load(runtime, handler, code, **spec)
        assert isinstance(loaded, int), loaded
        return sandbox

    def close(self) -> None:
        """Close what is left."""
        for sandbox in self._sandboxes:
            sandbox.close()


def invoke(
    sandbox: Sandbox, payload: Any, timeout_ms: int = TIMEOUT_MS, headers: dict[str, str] | None = None
) -> Outcome:
    """One call, with an id of its own."""
    return sandbox.invoke(Call(f"call-{next(_numbers)}", json.dumps(payload), headers or {}, timeout_ms))


class Laboratory:
    """A laboratory function: each call takes the sandbox of the one before where it may."""

    def __init__(self, workshop: Workshop, runtime: Runtime, handler: str, code: Path) -> None:
        self.workshop = workshop
        self._runtime, self._handler, self._code = runtime, handler, code
        self.sandbox: Sandbox | None = None

    def run(
        self, mode: str, timeout_ms: int = TIMEOUT_MS, headers: dict[str, str] | None = None, **fields: Any
    ) -> Outcome:
        """Run one mode of it."""
        return invoke(self.warm(), {"mode": mode, **fields}, timeout_ms, headers)

    def warm(self) -> Sandbox:
        """The sandbox of the next call."""
        if self.sandbox is None or not self.sandbox.usable:
            if self.sandbox is not None:
                self.sandbox.close()
            self.sandbox = self.workshop.ready(
                self._runtime, self._handler, self._code, environment=ENVIRONMENT, version="1.0"
            )
        return self.sandbox

    def result(self, mode: str, **fields: Any) -> Any:
        """The result of a call that must succeed."""
        outcome = self.run(mode, **fields)
        assert outcome.status is Status.SUCCEEDED, outcome
        assert outcome.result is not None
        return json.loads(outcome.result)

    def error(self, mode: str, kind: str, *, usable: bool | None = None, **fields: Any) -> Outcome:
        """The outcome of a call that must fail; `usable` says what must be true of the sandbox after it."""
        outcome = self.run(mode, **fields)
        assert outcome.status is Status.FAILED, outcome
        assert outcome.failure is not None
        assert outcome.failure.type == kind, outcome.failure
        assert outcome.result is None
        if usable is not None:
            assert self.sandbox is not None
            assert self.sandbox.usable is usable
        return outcome


def message(outcome: Outcome) -> str:
    """The message of a failure."""
    assert outcome.failure is not None
    return outcome.failure.message


def trace(outcome: Outcome) -> str:
    """The stack trace of a failure, as text."""
    assert outcome.failure is not None
    return "\n".join(outcome.failure.stack_trace)


def line_of(file: str, text: str) -> int:
    """The number of the line of a laboratory function that has this text."""
    lines = (FUNCTIONS / file).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def read_lab(*names: str) -> dict[str, str | bytes]:
    """Files of the laboratory functions."""
    return {name: (FUNCTIONS / name).read_bytes() for name in (*names, "data.txt")}


def add_data(folder: Path) -> Path:
    """Put the data file beside a program."""
    shutil.copy(FUNCTIONS / "data.txt", folder)
    return folder
