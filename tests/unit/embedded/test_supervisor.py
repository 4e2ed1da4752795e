from __future__ import annotations

import itertools
import os
import threading
import time
from pathlib import Path

import pytest

from faas.embedded.process import Program
from faas.embedded.supervisor import Supervisor
from faas.errors import PlatformError

PATIENCE = 30.0


def shell(folder: Path, name: str, script: str, **more) -> Program:
    return Program(name, ("sh", "-c", script), {"PATH": os.environ["PATH"]}, folder / f"{name}.log", folder, **more)


@pytest.fixture
def supervisor():
    one = Supervisor()
    yield one
    one.stop(())


def test_what_dies_is_started_again(tmp_path, supervisor):
    supervisor.start(shell(tmp_path, "one", "echo run; sleep 0.1; exit 1"), PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while (tmp_path / "one.log").read_text().count("run") < 3:
        assert time.monotonic() < deadline, "it was not started again"
        supervisor.tend()
        time.sleep(0.02)


def test_pauses_between_restarts_grow(tmp_path, supervisor):
    supervisor.start(shell(tmp_path, "one", "date +%s.%N; exit 1"), PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while len(times := (tmp_path / "one.log").read_text().split()) < 4:
        assert time.monotonic() < deadline, "it was not started again"
        supervisor.tend()
        time.sleep(0.02)
    starts = [float(one) for one in times]
    pauses = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert pauses[0] >= 0.45
    assert pauses[1] >= 0.95
    assert pauses[2] >= 1.9


def test_all_stop_in_the_order_that_is_asked_for(tmp_path, supervisor):
    for name in ("a", "b", "c"):
        script = f"trap 'echo {name} >>{tmp_path}/order; exit 0' TERM; echo up; while :; do sleep 0.02; done"
        up = tmp_path / f"{name}.log"
        supervisor.start(
            shell(tmp_path, name, script, stop_seconds=PATIENCE, ready=lambda up=up: up.read_text() == "up\n"), PATIENCE
        )
    supervisor.stop(("c", "a", "b"))
    assert (tmp_path / "order").read_text().split() == ["c", "a", "b"]


def test_a_program_that_does_not_start_is_an_error_and_is_cleaned_up(tmp_path, supervisor):
    with pytest.raises(PlatformError, match="one ended with status 2"):
        supervisor.start(shell(tmp_path, "one", "exit 2", ready=lambda: False), PATIENCE)


def test_a_stop_ends_run_and_starts_nothing_more(tmp_path, supervisor):
    threading.Timer(0.2, supervisor.request_stop).start()
    supervisor.run()
    assert supervisor.stopping
    assert supervisor.start(shell(tmp_path, "late", "echo no"), PATIENCE) is False
    assert not (tmp_path / "late.log").exists()


def test_a_program_that_dies_again_and_again_ends_the_start(tmp_path, supervisor):
    supervisor.start(shell(tmp_path, "one", "echo no such module; exit 1"), PATIENCE)
    deadline = time.monotonic() + PATIENCE
    with pytest.raises(PlatformError, match="one ends at once, again and again; no such module"):
        while time.monotonic() < deadline:
            supervisor.check_start()
            time.sleep(0.02)
