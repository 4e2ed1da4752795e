"""Load under faults at random, from seeds: every promise is kept. `FAULT_SEED=n` runs that seed instead (docs/faults.md)."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from faults import plan
from faults.platform import Platform
from faults.rounds import play

pytestmark = pytest.mark.timeout(900)
_GIVEN = os.environ.get("FAULT_SEED")
SEEDS = [int(_GIVEN)] if _GIVEN else [1, 2, 3]
# Every kind of fault comes in one of the three; `make soak` has longer rounds.
SECONDS = 15.0
SECONDS_IN_CONTAINERS = 25.0


@pytest.mark.parametrize("seed", SEEDS)
def test_every_promise_is_kept_whatever_fails(cluster: Platform, seed: int) -> None:
    summary = play(cluster, seed, SECONDS)
    print(summary)
    assert summary.good, f"{summary}"


@pytest.mark.container
def test_every_promise_is_kept_in_containers(in_containers: Platform) -> None:
    summary = play(in_containers, SEEDS[0], SECONDS_IN_CONTAINERS, pause=0.15)
    print(summary)
    assert summary.good, f"{summary}"


def test_a_seed_gives_the_same_plan_each_time_and_meets_every_kind() -> None:
    targets = {kind.targets: [f"{kind.targets}{n}" for n in (1, 2)] for kind in plan.KINDS}
    made = plan.make(7, 60.0, targets)
    assert made == plan.make(7, 60.0, targets)
    assert made != plan.make(8, 60.0, targets)
    assert {fault.kind for fault in made} == {kind.name for kind in plan.KINDS}
    ends: dict[str, float] = {}
    for fault in made:
        assert fault.at >= ends.get(fault.target, 0.0)
        ends[fault.target] = fault.at + fault.hold


def test_the_page_names_tests_that_there_are() -> None:
    root = Path(__file__).parents[2]
    file = ""
    for words in re.findall(r"`(tests/\S+\.py|test_\w+)`", (root / "docs" / "faults.md").read_text()):
        if words.startswith("tests/"):
            file = (root / words).read_text()
        else:
            assert f"def {words}(" in file, words
