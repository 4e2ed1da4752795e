"""The table of `faas stats`."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
from rich.console import Console

from faas.cli.stats_table import bars, notes, table
from faas.web.openapi_answers import STATS_EXAMPLE


def shown(document: dict[str, Any], width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as capture:
        console.print(table(document, width))
    return [line.rstrip() for line in capture.get().splitlines()]


@pytest.fixture
def document() -> dict[str, Any]:
    """A function that is well, and one that has ended nothing and is stuck."""
    made = copy.deepcopy(STATS_EXAMPLE)
    stuck = copy.deepcopy(made["items"][0])
    nothing = dict.fromkeys(("ended", "succeeded", "failed", "timed_out", "cold_starts"), 0)
    stuck |= nothing | {"function_name": "stuck\x1b[2J", "queued": 12, "series": [0] * 30}
    stuck["duration_ms"] = stuck["queue_ms"] = dict.fromkeys(("mean", "p50", "p95", "p99"))
    made["items"].append(stuck)
    return made


def test_a_wide_terminal_has_all_columns(document: dict[str, Any]) -> None:
    assert shown(document, 160) == [
        "NAME          ENDED    OK  FAILED  TIMED OUT    P50    P95    P99  WAIT  COLD  QUEUED  RUNNING  LAST 5m",
        "hello          1200  1190       8          2  10 ms  28 ms  62 ms  6 ms     3       0        2  ███████████████",
        "stuck\\x1b[2J      0     0       0          0      -      -      -     -     0      12        2",
    ]


def test_a_narrow_one_keeps_what_tells_of_trouble(document: dict[str, Any]) -> None:
    assert shown(document, 80) == [
        "NAME          ENDED  FAILED  TIMED OUT    P95  QUEUED  RUNNING  LAST 5m",
        "hello          1200       8          2  28 ms       0        2  ███████████████",
        "stuck\\x1b[2J      0       0          0      -      12        2",
    ]
    assert shown(document, 60) == [
        "NAME          ENDED  FAILED  TIMED OUT    P95  QUEUED",
        "hello          1200       8          2  28 ms       0",
        "stuck\\x1b[2J      0       0          0      -      12",
    ]
    for width in (30, 50, 70, 90, 110):
        assert all(len(line) <= width for line in shown(document, width))


@pytest.mark.parametrize(
    ("changes", "name", "said"),
    [
        ({}, None, []),
        ({"more": True}, None, ["These are the 2 busiest functions; --limit shows more."]),
        ({"items": []}, None, ["No function has ended anything in the last 5m, and nothing is queued."]),
        ({"items": []}, "hello", ["hello has ended nothing in the last 5m, and nothing is queued."]),
        (
            {"lag_ms": 125_000},
            None,
            ["What ended in the last 2m05s is not counted yet: is the clock running? `faas doctor` looks."],
        ),
    ],
)
def test_what_is_said_below_it(
    document: dict[str, Any], changes: dict[str, Any], name: str | None, said: list[str]
) -> None:
    assert list(notes(document | changes, name)) == said


@pytest.mark.parametrize(
    ("series", "row"),
    [
        ([], ""),
        ([0, 0, 0], "   "),
        ([0, 1, 2, 4, 8], " ▁▂▄█"),
        ([1, 1000], "▁█"),
        # The oldest bar stands for what is left.
        ([5, *[1] * 40], "█" + "▄" * 13),
        ([0] * 95 + [7], " " * 19 + "█"),
    ],
)
def test_bars(series: list[int], row: str) -> None:
    assert bars(series) == row
