"""Processes of the simple engine: they end with the worker, however that ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from faas.errors import SandboxError
from faas.sandbox import supervise
from faas.sandbox.body import Death
from faas.sandbox.simple_body import ProcessBody

WAIT_S = 30.0
SUPERVISOR = [sys.executable, "-I", "-S", str(Path(supervise.__file__)), "256"]


def body(tmp_path: Path, script: str) -> ProcessBody:
    return ProcessBody([*SUPERVISOR, "/bin/sh", "-c", script], tmp_path, {"PATH": os.environ["PATH"]}, own_memory=True)


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def read_pid(path: Path) -> int:
    until(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


@pytest.mark.parametrize(
    ("script", "death"),
    [
        ("exit 0", Death(exit_code=0)),
        ("exit 7", Death(exit_code=7)),
        ("kill -9 $$", Death(signal=9)),
        ("kill -SEGV $$", Death(signal=11)),
    ],
)
def test_an_end_is_told_as_often_as_it_is_asked_for(tmp_path: Path, script: str, death: Death) -> None:
    process = body(tmp_path, script)
    assert process.death(WAIT_S) == death
    assert process.death(0) == death
    process.remove()
    process.remove()


def test_a_living_process_has_no_death(tmp_path: Path) -> None:
    process = body(tmp_path, "sleep 600")
    assert process.death(0.05) is None
    process.kill()
    process.kill()
    assert process.death(WAIT_S) == Death(signal=signal.SIGKILL)
    process.remove()


def test_a_daemon_in_a_session_of_its_own_is_counted_and_killed_too(tmp_path: Path) -> None:
    process = body(tmp_path, "(setsid sh -c 'echo $$ > daemon; exec sleep 600' &) ; echo $$ > agent; sleep 600; true")
    daemon, agent = read_pid(tmp_path / "daemon"), read_pid(tmp_path / "agent")
    until(lambda: process.processes() == 3)
    process.remove()
    until(lambda: not lives(daemon) and not lives(agent))


def test_a_daemon_dies_with_its_agent(tmp_path: Path) -> None:
    process = body(tmp_path, "(setsid sh -c 'echo $$ > daemon; exec sleep 600' &) ; sleep 0.2; exit 3")
    daemon = read_pid(tmp_path / "daemon")
    assert process.death(WAIT_S) == Death(exit_code=3)
    assert not lives(daemon)
    process.remove()


def test_limits_hold_inside(tmp_path: Path) -> None:
    process = body(tmp_path, 'echo "$(ulimit -c) $(ulimit -n)" > limits')
    assert process.death(WAIT_S) == Death(exit_code=0)
    assert (tmp_path / "limits").read_text() == "0 256\n"
    process.remove()


def test_a_busy_process_dies_with_a_worker_that_is_killed(tmp_path: Path) -> None:
    worker_code = (
        "import sys\nfrom pathlib import Path\nfrom faas.sandbox.simple_body import ProcessBody\n"
        f"body = ProcessBody({[*SUPERVISOR, '/bin/sh', '-c', 'echo $$ > busy; while :; do :; done']!r}, Path({str(tmp_path)!r}), {{}}, own_memory=True)\n"
        "body.death(600)\n"
    )
    worker = subprocess.Popen([sys.executable, "-c", worker_code], start_new_session=True)
    try:
        busy = read_pid(tmp_path / "busy")
    finally:
        worker.kill()
        worker.wait()
    until(lambda: not lives(busy))


def test_a_supervisor_that_is_killed_takes_its_agent_along(tmp_path: Path) -> None:
    process = body(tmp_path, "echo $PPID > parent; echo $$ > agent; while :; do :; done")
    parent, agent = read_pid(tmp_path / "parent"), read_pid(tmp_path / "agent")
    with contextlib.suppress(ProcessLookupError):
        os.kill(parent, signal.SIGKILL)
    assert process.death(WAIT_S) == Death(signal=signal.SIGKILL)
    until(lambda: not lives(agent))
    process.remove()


def test_memory_is_measured_from_the_last_reset(tmp_path: Path) -> None:
    process = body(tmp_path, "echo $$ > agent; sleep 600; true")
    read_pid(tmp_path / "agent")
    process.reset_peak()
    peak = process.memory_peak_mb()
    assert peak is not None
    assert 0 < peak < 100
    process.remove()
    assert process.memory_peak_mb() is None


def test_what_cannot_be_started_is_an_error_of_the_platform(tmp_path: Path) -> None:
    with pytest.raises(SandboxError):
        ProcessBody([*SUPERVISOR, "/bin/true"], tmp_path / "nowhere", {}, own_memory=True)
