"""The clock of a machine is stepped by an hour, forth and back, under every part of the platform: leases, timers and limits go by the database's clock.

The step is made for each process by a library that is preloaded (`clock.c`): the machine's own clock is left alone.
"""

from __future__ import annotations

import itertools
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from e2e.cluster import LEASE, WORK

from faas.embedded.process import Program
from faults import history, rounds
from faults.platform import Platform
from faults.running import running

pytestmark = pytest.mark.timeout(600)

_HOUR = 3600


class StepPlatform(Platform):
    """A platform whose parts see a wall clock that `step` moves; it is right at first."""

    def _program(self, name: str, module: tuple[str, ...]) -> Program:
        program = super()._program(name, module)
        if name == "migrations":
            return program
        self.offset(name).write_bytes(struct.pack("q", 0))
        extra = {"LD_PRELOAD": f"{self.library}", "CLOCK_OFFSET": f"{self.offset(name)}"}
        return replace(program, env={**program.env, **extra})

    @property
    def library(self) -> Path:
        """What is preloaded."""
        library = self.root / "run" / "clock.so"
        if not library.exists():
            source = Path(__file__).with_name("clock.c")
            subprocess.run(["cc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, source], check=True)
        return library

    def offset(self, name: str) -> Path:
        """The file with the seconds that a part's clock is off; it is mapped, so it is written in place."""
        return self.root / "run" / f"{name}.offset"

    def step(self, name: str, seconds: int) -> None:
        """Set a part's clock off."""
        with self.offset(name).open("r+b") as file:
            file.write(struct.pack("q", seconds))


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StepPlatform]:
    """A running platform whose clocks can be stepped."""
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler (Debian, Ubuntu: apt-get install gcc libc6-dev)")
    with running(tmp_path_factory.mktemp("clock"), "simple", StepPlatform) as platform:
        assert isinstance(platform, StepPlatform)
        yield platform


def stepped(cluster: StepPlatform) -> list[str]:
    """The parts whose clocks can be stepped."""
    return [*cluster.workers, *cluster.controllers, *cluster.clocks]


def hours(cluster: StepPlatform, name: str) -> set[str]:
    """The hours in which a part has logged something, by its own clock."""
    lines = cluster.log(name).splitlines()
    return {line.split('"time": "', 1)[1][11:13] for line in lines if '"time": "' in line}


def test_steps_of_an_hour_start_nothing_twice_and_lose_nothing(cluster: StepPlatform) -> None:
    function = cluster.deploy(WORK, max_concurrency=6, timeout="20s")
    tried = cluster.deploy(WORK, retry={"max_attempts": 2, "backoff": "2s"})
    ids: list[str] = []
    # All forth, all back, and each its own: by turns.
    patterns = [itertools.repeat(_HOUR), itertools.repeat(-_HOUR), itertools.cycle([_HOUR, -_HOUR, 0])]
    for pattern in patterns:
        ids += cluster.submit_all(function, [{"sleep": 0.3 * (n % 5), "token": n} for n in range(20)])
        delayed = cluster.call(
            "POST", "/invoke", json={"function_id": function, "payload": {"token": "later"}, "delay": "3s"}
        )
        assert delayed.status_code == 202, delayed.text
        ids.append(delayed.json()["id"])
        ids.append(cluster.submit(tried, {"fails_until": time.time() + 1, "token": "again"}))
        for name, seconds in zip(stepped(cluster), pattern, strict=False):
            cluster.step(name, seconds)
        # Longer than a lease: a worker that was taken as lost would lose its work.
        time.sleep(LEASE * 1.5)
    records = cluster.wait_all(ids)
    assert {record["status"] for record in records} == {"succeeded"}, records
    once = [record for record in records if record["function_id"] == function]
    assert {record["attempts"] for record in once} == {1}
    # No time of a record is off: they are the database's, and lengths are measured by a clock that is not stepped.
    assert all(0 <= record["queue_ms"] < 600_000 and 0 <= record["duration_ms"] < 30_000 for record in records), records
    late = [record for record in once if record["result"]["token"] == "later"]
    assert all(record["queue_ms"] < 60_000 and record["run_at"] <= record["started_at"] for record in late), late
    stories = history.by_invocation(history.read(cluster))
    assert {history.terminal_writes(stories[one]) for one in ids} == {1}
    assert not history.over_limit(history.read(cluster), {function: 6})
    assert rounds.leaked(cluster) == []
    # The steps arrived: the lines of the logs tell of several hours. (A clock that has nothing to mend logs nothing.)
    for name in (*cluster.workers, *cluster.controllers):
        assert len(hours(cluster, name)) > 1, name
