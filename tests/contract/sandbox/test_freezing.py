"""An idle sandbox that is frozen: what a function left running stands still, and nothing else changes."""

from __future__ import annotations

import time

import pytest
from sandbox_lab import TIMEOUT_MS, Workshop

from faas.domain.function import Runtime
from faas.domain.ids import uuid7
from faas.domain.invocation import Status
from faas.sandbox.call import Call
from faas.sandbox.container import ContainerEngine
from faas.sandbox.engine import Owner

# A thread that works on between the calls.
_BUSY = """\
import threading, time
turns = 0
def work():
    global turns
    while True:
        turns += 1
        time.sleep(0.005)
threading.Thread(target=work, daemon=True).start()
def handler(event, context):
    return turns
"""
_CALL = Call("an-invocation", "null", {}, TIMEOUT_MS)


def _turns(sandbox) -> int:
    outcome = sandbox.invoke(_CALL)
    assert outcome.status is Status.SUCCEEDED, outcome
    return int(outcome.result)


@pytest.fixture
def busy(workshop: Workshop):
    return workshop.ready(Runtime.PYTHON, "main.handler", workshop.code({"main.py": _BUSY}))


@pytest.fixture
def frozen_runs(engine) -> bool:
    """Whether what is left in a frozen sandbox goes on: processes of this host can't be frozen."""
    return engine.name == "simple"


def test_nothing_runs_in_it_until_the_next_call(busy, frozen_runs):
    before = _turns(busy)
    busy.freeze()
    time.sleep(1)
    after = _turns(busy)
    # Left alone it makes about two hundred turns.
    assert (after - before > 50) is frozen_runs, (before, after)
    time.sleep(1)
    assert _turns(busy) - after > 20, "it runs on after the call"


def test_it_can_be_called_frozen_and_called_again(busy):
    for _ in range(5):
        busy.freeze()
        busy.freeze()
        assert busy.usable
        _turns(busy)


def test_it_can_be_killed_and_closed(workshop, busy):
    busy.freeze()
    busy.kill()
    assert not busy.usable
    busy.close()
    other = workshop.ready(Runtime.PYTHON, "main.handler", workshop.code({"main.py": _BUSY}))
    other.freeze()
    other.close()


@pytest.mark.container
def test_what_a_lost_worker_left_frozen_is_removed(tmp_path):
    owner = Owner(f"lost-{uuid7()}")
    lost, other = ContainerEngine(tmp_path / "lost", owner), ContainerEngine(tmp_path / "other", Owner("other"))
    workshop = Workshop(lost, tmp_path)
    try:
        workshop.ready(Runtime.PYTHON, "main.handler", workshop.code({"main.py": _BUSY})).freeze()
        assert other.remove_leftovers(owner.worker) == 1
        assert owner.worker not in other.leftovers()
    finally:
        lost.close()
        other.close()
