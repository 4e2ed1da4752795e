"""From figures of rounds to a line of the table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.catalogue import BY_ID

Pair = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Result:
    """What a measure came to.

    Attributes:
        value, reference: medians over the rounds.
        ratio: of the two medians; None where there is no reference.
        spread: the least and the greatest ratio of a round (or value, where there is no reference).
        holds: whether the row's `must` is kept; None where it could not be judged.
        note: what a reader has to know of this run.
    """

    id: str
    value: float
    reference: float | None
    ratio: float | None
    spread: tuple[float, float]
    must: float
    aim: float
    holds: bool | None
    unit: str
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """For the results file; figures with four digits."""
        fields = asdict(self)
        for name in ("value", "reference", "ratio"):
            fields[name] = rounded(fields[name])
        return {**fields, "spread": [rounded(figure) for figure in self.spread]}


def compared(row_id: str, pairs: Sequence[Pair], note: str = "") -> Result:
    """A result against a reference.

    Args:
        pairs: (the platform's figure, the reference's figure) of each round.
    """
    row = BY_ID[row_id]
    value, reference = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    ratio = value / reference
    rounds = [ours / theirs for ours, theirs in pairs]
    holds = row.within(ratio, row.must)
    return Result(row_id, value, reference, ratio, (min(rounds), max(rounds)), row.must, row.aim, holds, row.unit, note)


def absolute(row_id: str, values: Sequence[float], note: str = "") -> Result:
    """A result without a reference: `must` bounds the median itself."""
    row = BY_ID[row_id]
    value = statistics.median(values)
    spread = (min(values), max(values))
    return Result(row_id, value, None, None, spread, row.must, row.aim, row.within(value, row.must), row.unit, note)


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: the least value that `percent` of all are not above."""
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(rank) - 1)]


def rounded(figure: float | None) -> float | None:
    """Four significant digits."""
    return None if figure is None else float(f"{figure:.4g}")
