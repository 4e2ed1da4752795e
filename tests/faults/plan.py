"""A plan of faults from a seed: the same seed and parts give the same plan, so a round that failed can be run again."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Seconds between the starts of two faults; they overlap when one is held for longer.
_GAP = (0.2, 1.2)
_MOMENT = (0.0, 0.3)
_SHORT = (0.2, 3.0)
# Up to more than twice a lease.
_LONG = (1.0, 7.0)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault.

    Attributes:
        targets: what it hits: `worker`, `controller`, `clock` (one of them), `link` (the way of one part to one server), `redis`, `postgres`, `docker`.
        hold: for how long (seconds, from and to) it lasts before it is lifted.
    """

    name: str
    targets: str
    hold: tuple[float, float]


KINDS = (
    Kind("kill worker", "worker", _SHORT),
    Kind("kill worker again", "worker", _MOMENT),
    Kind("terminate worker", "worker", _SHORT),
    Kind("stop worker", "worker", _LONG),
    Kind("kill controller", "controller", _SHORT),
    Kind("kill web process", "controller", _MOMENT),
    Kind("stop controller", "controller", _LONG),
    Kind("kill clock", "clock", _SHORT),
    Kind("stop clock", "clock", _LONG),
    Kind("flush redis", "redis", _MOMENT),
    Kind("kill redis", "redis", _SHORT),
    Kind("restart redis", "redis", _MOMENT),
    Kind("pause redis", "redis", _LONG),
    Kind("stop redis", "redis", _LONG),
    Kind("fill redis", "redis", _SHORT),
    Kind("lock redis", "redis", _SHORT),
    Kind("restart postgres", "postgres", _SHORT),
    Kind("crash postgres", "postgres", _MOMENT),
    Kind("exhaust postgres", "postgres", _SHORT),
    Kind("cut postgres", "postgres", _MOMENT),
    Kind("latency", "link", _LONG),
    Kind("slow", "link", _LONG),
    Kind("stall", "link", _LONG),
    Kind("stall and reset", "link", _LONG),
    Kind("cut", "link", _LONG),
    Kind("refuse", "link", _LONG),
    Kind("reset", "link", _MOMENT),
    Kind("half close", "link", _MOMENT),
    Kind("kill container", "container", _MOMENT),
    Kind("restart docker", "docker", _SHORT),
    Kind("kill docker", "docker", _SHORT),
    Kind("stop docker", "docker", _SHORT),
)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of a plan: begins `at` seconds after the start, is lifted `hold` seconds later."""

    at: float
    kind: str
    target: str
    hold: float


def make(seed: int, seconds: float, targets: dict[str, Sequence[str]]) -> list[Fault]:
    """A plan, in the order of time.

    Every kind that has a target comes once before any comes again. Two faults of one target do not overlap.

    Args:
        targets: for each kind's `targets`, the names that there are; a kind whose targets are missing is left out.
    """
    rng = random.Random(seed)
    free_at: dict[str, float] = {}
    plan, now = [], 0.5
    for kind in _bag(rng, [kind for kind in KINDS if targets.get(kind.targets)]):
        now += rng.uniform(*_GAP)
        target, hold = rng.choice(list(targets[kind.targets])), rng.uniform(*kind.hold)
        at = max(now, free_at.get(target, 0.0))
        if now >= seconds:
            return sorted(plan, key=lambda fault: fault.at)
        if at < seconds:
            free_at[target] = at + hold + 0.5
            plan.append(Fault(round(at, 2), kind.name, target, round(hold, 2)))
    return plan


def _bag(rng: random.Random, kinds: list[Kind]) -> Iterator[Kind]:
    while kinds:
        yield from rng.sample(kinds, len(kinds))
