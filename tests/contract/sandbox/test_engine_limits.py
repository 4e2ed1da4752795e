"""Deadlines, logs, the life and the end of sandboxes, and functions that mean harm: the same for every engine."""

from __future__ import annotations

import os
import threading
import time

import pytest
from sandbox_lab import Laboratory, Workshop, invoke, message, revision

from faas.domain.function import MIB, Network, Runtime
from faas.domain.invocation import Status
from faas.domain.outcome import Outcome
from faas.errors import SandboxError
from faas.sandbox.engine import Cancel, Engine, Sandbox

# The first build of Go programs has the standard library in it, which takes minutes on a slow machine.
pytestmark = pytest.mark.timeout(600)
RUNTIMES = ["python", "nodejs", "go"]


@pytest.mark.parametrize(
    ("runtime", "how"),
    [
        ("python", "busy"),
        ("python", "deaf"),
        ("python", "swallow"),
        ("nodejs", "busy"),
        ("nodejs", "never"),
        ("go", "busy"),
    ],
)
def test_a_timeout_is_kept_and_the_log_too(functions: dict[str, Laboratory], runtime: str, how: str) -> None:
    laboratory = functions[runtime]
    laboratory.warm()
    outcome = laboratory.run("stuck", how=how, timeout_ms=700)
    assert outcome.status is Status.TIMED_OUT
    assert outcome.failure is not None
    assert (outcome.failure.type, outcome.failure.message) == (
        "Function.Timeout",
        "The function did not end within 0.7 s.",
    )
    assert 700 <= outcome.duration_ms < 5000
    assert b"before\n" in outcome.logs
    assert laboratory.sandbox is not None
    assert not laboratory.sandbox.usable


def test_loading_has_a_bound_of_its_own(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faas.sandbox.session.MIN_INIT_MS", 1000)
    began = time.monotonic()
    _, loaded = workshop.load(
        Runtime.PYTHON, "main.handler", workshop.code({"main.py": "while True: pass\n"}), timeout_ms=100
    )
    assert isinstance(loaded, Outcome)
    assert loaded.status is Status.TIMED_OUT
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize("runtime", ["python", "nodejs"])
def test_logs_have_all_that_was_printed(functions: dict[str, Laboratory], runtime: str) -> None:
    laboratory = functions[runtime]
    laboratory.warm()
    laboratory.result("echo", value=1)
    outcome = laboratory.run("prints")
    assert outcome.result == '"done"'
    wanted = ["one ☂".encode(), b"two", b"three", b"four", b"five", b"\xff\0six", b'"forged"', b"no newline"]
    assert [outcome.logs.count(text) for text in wanted] == [1] * len(wanted), outcome.logs
    assert (
        outcome.logs.index(b"one")
        < outcome.logs.index(b"three")
        < outcome.logs.index(b"four")
        < outcome.logs.index(b"no newline")
    )
    assert outcome.logs.index(b"two") < outcome.logs.index(b"five") < outcome.logs.index(b"six")
    assert laboratory.run("echo", value=1).logs == b""


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_log_is_cut_at_1_mib_of_a_stream_with_a_mark(functions: dict[str, Laboratory], runtime: str) -> None:
    outcome = functions[runtime].run("flood", lines=30_000)
    assert outcome.result == '"flooded"'
    stream = "stderr" if runtime == "go" else "stdout"
    assert outcome.logs.endswith(f"\n[{stream} cut at 1 MiB]\n".encode())
    assert MIB <= len(outcome.logs) < MIB + 200
    assert runtime == "go" or b"the other stream" in outcome.logs


def test_a_log_under_the_cap_is_whole(python: Laboratory) -> None:
    assert python.run("flood", lines=10_000).logs.count(b"x" * 99 + b"\n") == 10_000


@pytest.mark.parametrize("what", ["garbage", "huge", "array", "other_call", "endless", "close"])
def test_a_broken_protocol_ends_the_call_and_the_sandbox(python: Laboratory, what: str) -> None:
    if what == "endless":
        outcome = python.run("forges", what=what, timeout_ms=700)
        assert outcome.status is Status.TIMED_OUT
        assert python.sandbox is not None
        assert not python.sandbox.usable
    else:
        python.error("forges", "Function.ExitError", what=what, usable=False)


def test_two_answers_cost_the_sandbox(python: Laboratory) -> None:
    outcome = python.run("answers_twice")
    assert outcome.failure is not None or outcome.result == '"first"'
    assert python.sandbox is not None
    assert not python.sandbox.usable


def test_a_daemon_costs_the_sandbox_and_a_finished_child_does_not(python: Laboratory) -> None:
    first = python.result("child", how="reaped")
    assert python.result("child", how="daemon") == first
    assert python.sandbox is not None
    assert not python.sandbox.usable


def test_the_code_of_others_stays_as_it_was(workshop: Workshop) -> None:
    code = workshop.code(
        {
            "main.py": "import os\ndef handler(e, c):\n    os.chmod('data.txt', 0o666)\n    open('data.txt', 'w').write('changed')\n",
            "data.txt": "as it was",
        }
    )
    sandbox = workshop.ready(Runtime.PYTHON, "main.handler", code)
    invoke(sandbox, None)
    sandbox.close()
    assert (code / "data.txt").read_text() == "as it was"


def test_the_code_is_read_only_and_tmp_is_not(engine: Engine, python: Laboratory) -> None:
    tried = python.result("write_code")
    # Root may write anywhere, and the simple engine's functions are what its worker is.
    if engine.name == "container" or os.geteuid() != 0:
        assert tried == {"main.py": False, "new.txt": False}
    else:
        assert set(tried) == {"main.py", "new.txt"}
    python.warm().close()


def test_a_kill_from_another_thread_ends_the_call(python: Laboratory) -> None:
    cancel = Cancel()
    sandbox = python.warm()
    cancel.attach(sandbox)
    timer = threading.Timer(0.3, cancel.set)
    timer.start()
    outcome = python.run("stuck", how="busy")
    timer.join()
    assert outcome.failure is not None
    assert outcome.failure.type == "Function.ExitError"
    assert "SIGKILL (9)" in message(outcome)
    assert outcome.logs == b"before\n"
    assert not sandbox.usable


def test_a_sandbox_that_died_while_idle_is_not_usable(workshop: Workshop) -> None:
    source = "import os, threading\ndef handler(e, c):\n    threading.Timer(0.05, os._exit, [1]).start()\n"
    sandbox = workshop.ready(Runtime.PYTHON, "main.handler", workshop.code({"main.py": source}))
    assert invoke(sandbox, None).status is Status.SUCCEEDED
    assert _within(10, lambda: not sandbox.usable)
    with pytest.raises(SandboxError):
        invoke(sandbox, None)


def test_a_closed_sandbox_is_gone(workshop: Workshop) -> None:
    sandbox = workshop.start(Runtime.PYTHON)
    assert sandbox.usable
    sandbox.close()
    sandbox.close()
    sandbox.kill()
    assert not sandbox.usable
    with pytest.raises(SandboxError):
        sandbox.specialise(revision(Runtime.PYTHON, "main.handler"), workshop.code({"main.py": ""}), 1000)


def test_leftovers_name_their_owner_and_can_be_removed(workshop: Workshop) -> None:
    engine = type(workshop.engine)(workshop.engine._work_dir, type(workshop.engine._owner)("a-dead-worker"))  # type: ignore[attr-defined, call-arg]
    sandbox: Sandbox = engine.start(Runtime.PYTHON, Network.NONE)
    assert "a-dead-worker" in workshop.engine.leftovers()
    assert workshop.engine.remove_leftovers("a-dead-worker") >= 1
    assert "a-dead-worker" not in workshop.engine.leftovers()
    assert workshop.engine.remove_leftovers("a-dead-worker") == 0
    sandbox.close()
    engine.close()


def test_sandboxes_run_side_by_side(workshop: Workshop) -> None:
    source = "import time\ndef handler(e, c):\n    print(e)\n    time.sleep(0.1)\n    return e\n"
    code = workshop.code({"main.py": source})
    found: dict[int, Outcome] = {}

    def run(number: int) -> None:
        sandbox = workshop.ready(Runtime.PYTHON, "main.handler", code)
        for n in range(5):
            found[number * 10 + n] = invoke(sandbox, number * 10 + n)
        sandbox.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {n: (outcome.result, outcome.logs) for n, outcome in found.items()} == {
        n: (str(n), b"%d\n" % n) for t in range(4) for n in range(t * 10, t * 10 + 5)
    }


def _within(seconds: float, true: object) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if callable(true) and true():
            return True
        time.sleep(0.02)
    return False
