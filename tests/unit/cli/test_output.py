"""What is printed, and what is kept from the terminal."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from faas.cli import output


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("\x9b2J\x7f\x00", "\\x9b2J\\x7f\\x00"),
        ("overwritten\r", "overwritten\\x0d"),
    ],
)
def test_a_function_can_not_play_with_the_terminal(text: str, shown: str) -> None:
    assert output.harmless(text) == shown


def test_a_table_is_plain_columns_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_table(("NAME", "N", "STATUS"), [("a", 1, "failed"), ("[red]b[/red]", 1000, None)], {"N"})
    assert capsys.readouterr().out.splitlines() == [
        "NAME             N  STATUS",
        "a                1  failed",
        "[red]b[/red]  1000  -",
    ]


def test_a_long_cell_is_not_folded_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_table(("ERROR",), [("x" * 500,)])
    assert capsys.readouterr().out.splitlines()[1] == "x" * 500


def test_json_is_one_line_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_json({"a": ["é", 2**70]})
    assert capsys.readouterr().out == '{"a": ["é", 1180591620717411303424]}\n'


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, None), (0, "0 ms"), (12.4, "12 ms"), (1250, "1.25 s"), (125_000, "2m05s"), (59_999, "60.00 s")],
)
def test_times(value: float | None, shown: str | None) -> None:
    assert output.milliseconds(value) == shown


@pytest.mark.parametrize(
    ("instant", "shown"),
    [
        (None, None),
        ("2026-01-02T00:00:00.000Z", "0s"),
        ("2026-01-01T23:59:01.000Z", "59s"),
        ("2026-01-01T23:00:00.000Z", "1h"),
        ("2025-12-30T00:00:00.000Z", "3d"),
        ("2026-01-02T00:01:00.000Z", "0s"),
    ],
)
def test_ages(instant: str | None, shown: str | None) -> None:
    assert output.age(instant, datetime(2026, 1, 2, tzinfo=UTC)) == shown


def test_sizes_and_cuts() -> None:
    assert [output.size(number) for number in (12, 1200, 3_400_000)] == ["12 B", "1.2 kB", "3.4 MB"]
    assert output.one_line("a\nb", 10) == "a b"
    assert output.one_line("x" * 20, 10) == "x" * 9 + "…"
