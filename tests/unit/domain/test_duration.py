"""Durations in Go's notation."""

from __future__ import annotations

import pytest

from faas.domain.duration import format_duration, parse_duration


@pytest.mark.parametrize(
    ("given", "milliseconds"),
    [
        ("500ms", 500),
        ("30s", 30_000),
        ("1m30s", 90_000),
        ("1.5s", 1500),
        (".5s", 500),
        ("1h", 3_600_000),
        ("0s", 0),
        ("2000us", 2),
        ("2000µs", 2),
        (5, 5000),
        (0.25, 250),
        (0, 0),
    ],
)
def test_text_with_units_and_numbers_of_seconds_are_durations(given, milliseconds):
    assert parse_duration(given) == milliseconds


@pytest.mark.parametrize(
    "given",
    [
        "",
        "30",
        "s",
        "-1s",
        "1s ",
        " 1s",
        "1s2",
        "1 s",
        "1d",
        "1e3s",
        "١s\u0000",
        "1" * 70 + "s",
        -1,
        True,
        None,
        [],
        {},
        float("inf"),
        float("nan"),
        "1s\n",
    ],
)
def test_anything_else_is_refused_with_a_reason(given):
    with pytest.raises(ValueError, match="Must"):
        parse_duration(given)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0s"),
        (250, "250ms"),
        (1000, "1s"),
        (1500, "1.5s"),
        (1001, "1.001s"),
        (60_000, "1m"),
        (90_000, "1m30s"),
        (3_600_000, "1h"),
        (3_661_500, "1h1m1.5s"),
        (900_000, "15m"),
    ],
)
def test_the_shortest_exact_notation_is_written_and_reads_back(milliseconds, text):
    assert format_duration(milliseconds) == text
    assert parse_duration(text) == milliseconds
