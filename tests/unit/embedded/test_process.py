from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from faas.embedded.process import Child, Program, run
from faas.errors import PlatformError

PATIENCE = 30.0


def program(folder: Path, *argv: str, **more) -> Program:
    return Program("one", argv, {"PATH": os.environ["PATH"]}, folder / "one.log", folder, **more)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_output_goes_to_the_log_and_the_status_is_kept(tmp_path):
    child = Child(program(tmp_path, "sh", "-c", "echo out; echo err >&2; exit 3"))
    wait_until(lambda: child.status is not None, "it ends")
    assert child.status == 3
    assert (tmp_path / "one.log").read_text() == "out\nerr\n"
    child.stop()


def test_a_program_that_ends_before_it_serves_is_told_with_its_last_words(tmp_path):
    child = Child(program(tmp_path, "sh", "-c", "echo no such disk; exit 4", ready=lambda: False))
    with pytest.raises(
        PlatformError, match=r"one ended with status 4 before it served; no such disk \(see .*one\.log\)"
    ):
        child.wait_ready(PATIENCE)
    child.stop()


def test_a_program_that_never_serves_is_given_up(tmp_path):
    child = Child(program(tmp_path, "sleep", "60", ready=lambda: False))
    with pytest.raises(PlatformError, match="does not serve after 0 s"):
        child.wait_ready(0.2)
    child.stop()


def test_waiting_ends_when_a_stop_is_wanted(tmp_path):
    child = Child(program(tmp_path, "sleep", "60", ready=lambda: False))
    assert child.wait_ready(PATIENCE, stop=lambda: True) is False
    child.stop()


def test_stop_lets_the_program_end_in_good_order(tmp_path):
    script = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    child = Child(program(tmp_path, "sh", "-c", script, stop_seconds=PATIENCE))
    wait_until(lambda: "up" in (tmp_path / "one.log").read_text(), "it starts")
    child.stop()
    assert child.status == 0
    assert (tmp_path / "one.log").read_text() == "up\nbye\n"


def test_a_program_that_ignores_the_signal_is_killed_with_all_that_it_started(tmp_path):
    script = "trap '' TERM; sleep 600 & echo $!; wait; while :; do sleep 1; done"
    child = Child(program(tmp_path, "sh", "-c", script, stop_seconds=0.2))
    wait_until(lambda: (tmp_path / "one.log").read_text().strip(), "it starts")
    grandchild = int((tmp_path / "one.log").read_text())
    child.stop()
    assert child.status == -signal.SIGKILL
    wait_until(lambda: not is_alive(grandchild), "the grandchild is gone")


def test_a_program_that_is_not_there_is_told_in_one_line(tmp_path):
    with pytest.raises(PlatformError, match="one can't be started"):
        Child(program(tmp_path, "/no/such/program"))


def test_children_die_with_their_parent_even_by_sigkill(tmp_path):
    script = f"""
import sys, time
from pathlib import Path
from faas.embedded.process import Child, Program
child = Child(Program("one", ("sleep", "600"), {{"PATH": "/bin:/usr/bin"}}, Path({str(tmp_path / "one.log")!r}), Path("/")))
print(child.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        grandchild = int(parent.stdout.readline())
        assert is_alive(grandchild)
        parent.kill()
    wait_until(lambda: not is_alive(grandchild), "the grandchild is gone")


def test_run_tells_failure_and_endlessness(tmp_path):
    run(program(tmp_path, "true"), PATIENCE)
    with pytest.raises(PlatformError, match="status 1"):
        run(program(tmp_path, "false"), PATIENCE)
    with pytest.raises(PlatformError, match="longer than 0 s"):
        run(program(tmp_path, "sleep", "60"), 0.1)
