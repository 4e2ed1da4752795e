"""Functions that mean harm, in each language: what each ends as, and that nobody else notices.

After each of them a neighbour, who runs all the time, still has its own state and answers, and the function's next invocation works.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import pytest
from sandbox_lab import Laboratory, Workshop, invoke

from faas.domain.function import MIB, Runtime
from faas.domain.outcome import Outcome
from faas.sandbox.container import ContainerEngine
from faas.sandbox.engine import Owner

# The first build of a Go program has the standard library in it, which takes minutes on a slow machine.
pytestmark = [pytest.mark.container, pytest.mark.timeout(600)]

HOSTILE = Path(__file__).with_name("hostile")
PYTHON, NODEJS, GO = "python", "nodejs", "go"
ALL = (PYTHON, NODEJS, GO)
SOURCES = {PYTHON: "main.py", NODEJS: "index.js", GO: "main.go"}
AGENTS = {PYTHON: "agent.py", NODEJS: "agent.js", GO: "agent"}
TIMED_OUT = r"Function\.Timeout: "
OUT_OF_MEMORY = r"Function\.OutOfMemory: .*256 MB"
# A secret of the worker's, in its environment like the real ones.
SECRET, NEIGHBOURS_SECRET = f"secret-{uuid.uuid4()}", f"neighbour-{uuid.uuid4()}"


class Cage:
    """The hostile functions, and a neighbour that must not notice."""

    def __init__(self, folder: Path) -> None:
        self.owner = f"hostile-{uuid.uuid4()}"
        self.engine = ContainerEngine(folder / "work", Owner(self.owner))
        self.workshop = Workshop(self.engine, folder)
        self.functions = {name: self._laboratory(name) for name in ALL}
        neighbour = (HOSTILE / "main.py").read_text() + f"\nNOTE = {NEIGHBOURS_SECRET!r}\n"
        self._neighbour = self.workshop.ready(
            Runtime.PYTHON,
            "main.handler",
            self.workshop.code({"main.py": neighbour}),
            environment={"OWN": NEIGHBOURS_SECRET},
        )
        self._count = itertools.count(1)

    def _laboratory(self, name: str) -> Laboratory:
        file = SOURCES[name]
        source: dict[str, str | bytes] = {file: (HOSTILE / file).read_bytes()}
        if name == GO:
            return Laboratory(self.workshop, Runtime.GO, "main", self.workshop.program(source))
        return Laboratory(self.workshop, Runtime(name), f"{file.partition('.')[0]}.handler", self.workshop.code(source))

    def run(self, name: str, mode: str, timeout_ms: int = 60_000, **fields: Any) -> tuple[str, Outcome]:
        """Run a hostile function, see that nobody else noticed, and tell its outcome as text: `= RESULT` or `TYPE: MESSAGE`."""
        laboratory = self.functions[name]
        laboratory.warm()
        outcome = laboratory.run(mode, timeout_ms, **fields)
        self.check_the_others()
        if outcome.failure is None:
            return f"= {outcome.result}", outcome
        return f"{outcome.failure.type}: {outcome.failure.message}", outcome

    def usable(self, name: str) -> bool:
        """Whether the sandbox of the last call may be given another one."""
        sandbox = self.functions[name].sandbox
        return sandbox is not None and sandbox.usable

    def discard(self, name: str) -> None:
        """Let the function's next call have a new sandbox."""
        sandbox = self.functions[name].sandbox
        if sandbox is not None:
            sandbox.close()

    def check_the_others(self) -> None:
        """The neighbour is as it was, and answers."""
        outcome = invoke(self._neighbour, {"mode": "ok"}, 60_000)
        assert outcome.result == str(next(self._count)), outcome

    def check_the_next(self, name: str) -> None:
        """The next invocation of the same function works."""
        assert isinstance(self.functions[name].result("ok"), int)


@pytest.fixture(scope="module")
def cage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cage]:
    os.environ["FAAS_TEST_SECRET"] = SECRET
    made = Cage(tmp_path_factory.mktemp("hostile"))
    yield made
    made.workshop.close()
    made.engine.close()
    del os.environ["FAAS_TEST_SECRET"]
    client = docker.from_env()
    try:
        assert client.containers.list(all=True, filters={"label": f"faas.owner={made.owner}"}) == []
    finally:
        client.close()


@dataclass(frozen=True)
class Case:
    """A hostile act: what it must end as, by language, and whether its sandbox may live on (None: as it comes)."""

    mode: str
    ends: dict[str, str]
    usable: bool | None
    fields: dict[str, Any] = field(default_factory=dict)
    timeout_ms: int = 60_000

    def __str__(self) -> str:
        return " ".join([self.mode, *map(str, self.fields.values())])


def everywhere(ends: str) -> dict[str, str]:
    return dict.fromkeys(ALL, ends)


def signalled(number: int) -> str:
    return rf"Function\.ExitError: The process was killed by {signal.Signals(number).name} \({number}\)"


SHORT = 1_000
# What a function does to its own later calls, in a sandbox that lives on: full folders, and threads that use up what it may have of them. In
# Python and Node.js the agent is in the function's process, so it can forge its own answer, and go on computing.
LASTING = ("forges", "fills", "inodes", "opens", "thread_bomb", "computes_on")
CASES = [
    # time
    Case("busy", everywhere(TIMED_OUT), False, timeout_ms=SHORT),
    Case("sleeps", everywhere(TIMED_OUT), False, timeout_ms=SHORT),
    Case("deaf", everywhere(TIMED_OUT), False, timeout_ms=SHORT),
    Case("deadlock", {PYTHON: TIMED_OUT, NODEJS: TIMED_OUT, GO: r"Function\.ExitError: .*status 2\..*deadlock"}, None, timeout_ms=SHORT),
    Case("regex", {PYTHON: TIMED_OUT, NODEJS: TIMED_OUT, GO: "= false"}, None, timeout_ms=SHORT),
    Case("blocked_loop", {PYTHON: TIMED_OUT, NODEJS: TIMED_OUT}, False, timeout_ms=SHORT),
    # processes
    Case("fork_bomb", everywhere(rf"{TIMED_OUT}|Function\.OutOfMemory: |Function\.ExitError: "), False, timeout_ms=2_000),
    Case("forks_to_the_limit", everywhere(r'= \["EAGAIN", true\]'), False),
    Case("thread_bomb", {
        PYTHON: r"RuntimeError: can't start new thread", NODEJS: r"Function\.OutOfMemory: |Error: |Function\.ExitError: ", GO: OUT_OF_MEMORY,
    }, None),
    Case("daemon", everywhere('= "answered"'), False),
    # memory and disk
    Case("eats", everywhere(OUT_OF_MEMORY), None),
    Case("child_eats", {PYTHON: "= -9", NODEJS: '= "SIGKILL"', GO: '= "signal: killed"'}, False),
    Case("child_eats_and_it_fails", everywhere(OUT_OF_MEMORY), False),
    Case("fills", everywhere(r'= \["ENOSPC", true\]'), True, {"place": "/tmp"}),
    Case("fills", everywhere(r'= \["ENOSPC", true\]'), True, {"place": "/dev/shm"}),
    Case("inodes", everywhere(r'= \["ENOSPC", true\]'), True),
    Case("opens", everywhere(r'= \["EMFILE", true\]'), None),
    Case("sparse", everywhere("= 0"), True),
    # output
    Case("floods", everywhere('= "flooded"'), True),
    Case("long_line", everywhere('= "printed"'), True),
    Case("forges", {PYTHON: rf'= "forged"|Function\.ExitError: |{TIMED_OUT}', NODEJS: rf'= "forged"|Function\.ExitError: |{TIMED_OUT}', GO: TIMED_OUT}, None, timeout_ms=2_500),
    Case("returns", everywhere(r"Function\.ResultTooLarge: "), True, {"what": "huge"}),
    Case("returns", {PYTHON: r"Function\.InvalidResult: ", NODEJS: r"Function\.InvalidResult: ", GO: r'= "\[\["'}, True, {"what": "cyclic"}),
    Case("returns", {PYTHON: r"Function\.InvalidResult: ", NODEJS: "= null", GO: '= "NaN"'}, True, {"what": "nan"}),
    Case("returns", everywhere(r"Function\.InvalidResult: .*deep"), True, {"what": "deep"}),
    Case("returns", everywhere(r'= "a\\u0000b"'), True, {"what": "nul"}),
    # exits
    Case("exits", {PYTHON: r"Function\.ExitError: .*status 0", NODEJS: r"Function\.ExitError: .*status 0", GO: "= null"}, None, {"code": 0}),
    Case("aborts", {PYTHON: signalled(signal.SIGABRT), NODEJS: signalled(signal.SIGABRT), GO: r"Function\.ExitError: .*status 2\..*SIGABRT"}, None),
    Case("crashes", {PYTHON: signalled(signal.SIGSEGV), NODEJS: signalled(signal.SIGSEGV), GO: r"Function\.ExitError: .*status 2\..*nil pointer"}, None),
    Case("kills_init", everywhere('= "lives"'), True, {"signal": int(signal.SIGKILL)}),
    Case("kills_init", everywhere(r"Function\.ExitError: "), False, {"signal": int(signal.SIGTERM), "seconds": 30}),
    Case("closes", {PYTHON: '= "closed"', NODEJS: '= "closed"', GO: "= null"}, None),
    Case("computes_on", {PYTHON: '= "answered"', NODEJS: '= "answered"'}, None),
    Case("crashes_late", everywhere(rf"{TIMED_OUT}|Function\.ExitError: .*status 7"), None, {"seconds": 1.0}, timeout_ms=1_000),
]  # fmt: skip
RUNS = [pytest.param(name, case, id=f"{name} {case}") for case in CASES for name in case.ends]


@pytest.mark.parametrize(("name", "case"), RUNS)
def test_a_hostile_act_ends_as_it_should_and_nobody_else_notices(cage: Cage, name: str, case: Case) -> None:
    told, outcome = cage.run(name, case.mode, case.timeout_ms, **case.fields)
    assert re.match(case.ends[name], told, re.DOTALL), told[:2000]
    if case.usable is not None:
        assert cage.usable(name) is case.usable
    # Of each stream, its mark included.
    assert len(outcome.logs) <= 2 * (MIB + 100)
    if case.mode in LASTING:
        cage.discard(name)
    cage.check_the_next(name)


@pytest.mark.parametrize("name", [PYTHON, NODEJS])
def test_loading_that_does_not_end_is_ended(cage: Cage, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faas.sandbox.session.MIN_INIT_MS", 1000)
    source = {PYTHON: "while True: pass\n", NODEJS: "for (;;) {}\n"}[name]
    file = SOURCES[name]
    sandbox, loaded = cage.workshop.load(
        Runtime(name), f"{file.partition('.')[0]}.handler", cage.workshop.code({file: source}), timeout_ms=100
    )
    assert isinstance(loaded, Outcome)
    assert loaded.failure is not None
    assert loaded.failure.type == "Function.Timeout"
    assert not sandbox.usable
    cage.check_the_others()


@pytest.mark.parametrize("name", [PYTHON, NODEJS])
def test_a_leak_over_warm_calls_ends_at_the_limit(cage: Cage, name: str) -> None:
    told = ""
    calls = itertools.count()
    while told.startswith("=") or next(calls) == 0:
        told, _ = cage.run(name, "leaks")
    assert 2 <= next(calls) <= 8
    assert re.match(OUT_OF_MEMORY, told), told
    assert not cage.usable(name)
    assert cage.functions[name].result("leaks") == 1
    cage.discard(name)


@pytest.mark.parametrize("name", ALL)
def test_no_secret_of_the_platform_or_of_another_function_is_found(cage: Cage, name: str) -> None:
    told, _ = cage.run(name, "searches", marks=[SECRET, NEIGHBOURS_SECRET])
    seen = json.loads(told.removeprefix("= "))
    # What it was called with is its own.
    assert [place for place in seen["found"] or [] if not place[0].endswith("/mem")] == []
    assert seen["looked"] > 50


@pytest.mark.parametrize("name", ALL)
def test_neither_the_code_nor_the_agent_can_be_replaced(cage: Cage, name: str) -> None:
    told, _ = cage.run(name, "overwrites", agent=AGENTS[name])
    tried = json.loads(told.removeprefix("= "))
    # Nothing of it is the function's own user's.
    assert tried.pop("owners") == [False]
    assert len(tried) == 7
    assert set(tried.values()) <= {"EROFS", "EACCES", "EPERM", "EXDEV"}, tried
    assert tried["code"] in ("EROFS", "EACCES")
    cage.check_the_next(name)


@pytest.mark.parametrize("name", ALL)
def test_nothing_can_be_put_where_the_host_looks(cage: Cage, name: str) -> None:
    told, _ = cage.run(name, "links")
    tried = json.loads(told.removeprefix("= "))
    assert tried.pop("docker") == "ENOENT"
    assert tried.pop("real socket") in ("ENOENT", "ECONNREFUSED")
    assert set(tried.values()) <= {"EROFS", "EACCES", "EADDRINUSE"}, tried
    assert len(tried) == 4


@pytest.mark.parametrize("name", ALL)
def test_the_kernel_gives_it_nothing(cage: Cage, name: str) -> None:
    told, _ = cage.run(name, "kernel")
    tried = json.loads(told.removeprefix("= "))
    given = {what: answer for what, answer in tried.items() if answer in ("done", "")}
    assert given == {}
    assert len(tried) >= 12
    cage.check_the_next(name)


@pytest.mark.parametrize("name", [PYTHON, NODEJS])
def test_what_is_planted_stays_with_its_own_revision(cage: Cage, name: str) -> None:
    laboratory = cage.functions[name]
    assert laboratory.result("plant")[-1] == "planted"
    file, source = SOURCES[name], {
        PYTHON: "import builtins, os\ndef handler(e, c):\n    return [hasattr(builtins, 'planted'), 'PLANTED' in os.environ, os.listdir('/tmp')]\n",
        NODEJS: "exports.handler = async () => ['planted' in globalThis, 'PLANTED' in process.env, require('fs').readdirSync('/tmp')];\n",
    }[name]  # fmt: skip
    other = cage.workshop.ready(Runtime(name), f"{file.partition('.')[0]}.handler", cage.workshop.code({file: source}))
    assert json.loads(invoke(other, None).result or "") == [False, False, []]
    other.close()


def test_what_a_go_function_brings_is_not_run_while_it_is_compiled(cage: Cage, tmp_path: Path) -> None:
    marked = {"go.mod": "module example.com/x\n\ngo 1.18\n", "script.sh": "touch /made/ran /cache/ran\n"}
    for source in (
        'package main\n\n//go:generate sh script.sh\n\nfunc main() { println("ok") }\n',
        'package main\n\n// #cgo LDFLAGS: -Wl,--wrap=x -fplugin=./evil.so\n// #include "evil.h"\nimport "C"\n\nfunc main() { C.f() }\n',
    ):
        output = tmp_path / f"program-{len(source)}" / "main"
        said = cage.engine.compile(cage.workshop.code({**marked, "main.go": source}), output, timeout_s=300)
        assert ('import "C"' in source) == (said is not None)
    look = cage.workshop.program(
        {"main.go": 'package main\n\nimport "os"\n\nfunc main() { _, err := os.Stat("/cache"); println(err != nil) }\n'}
    )
    sandbox = cage.workshop.ready(Runtime.GO, "main", look)
    assert b"true" in invoke(sandbox, None).logs
    sandbox.close()


def test_a_sandbox_that_did_harm_is_gone(cage: Cage) -> None:
    cage.run(PYTHON, "busy", 500)
    sandbox = cage.functions[PYTHON].sandbox
    assert sandbox is not None
    sandbox.close()
    client = docker.from_env()
    try:
        assert eventually(lambda: not client.containers.list(all=True, filters={"name": f"faas-{sandbox.id}"}))
    finally:
        client.close()


def eventually(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
