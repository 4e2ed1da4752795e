"""What commands print: JSON and tables on standard output, everything else on standard error. Colour only on a terminal."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# Wide enough that no row is folded where the output is no terminal.
_UNFOLDED = 10_000
_KEPT = ("ID", "NAME", "STATUS", "STATE")
# What the last column, which is cut where it is long, has at least before others are left out for it.
_LEAST_LAST = 20
_GAP = 2
_COLOURS = {
    "succeeded": "green",
    "active": "green",
    "ok": "green",
    "running": "cyan",
    "building": "cyan",
    "queued": "yellow",
    "warn": "yellow",
    "timed_out": "red",
    "failed": "red",
    "fail": "red",
    "cancelled": "magenta",
}
# Colours may pass; whatever else moves the cursor, sets the title or asks the terminal to answer may not.
_CONTROL = re.compile(r"\x1b\[[0-9;]*m|([\x00-\x08\x0b-\x1f\x7f-\x9f])")


def is_terminal(stream: IO[str]) -> bool:
    """Whether somebody looks at it."""
    return stream.isatty()


def coloured(stream: IO[str]) -> bool:
    """Whether it may have colours: it is a terminal, and `NO_COLOR` (no-color.org) is not set."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def note(message: str) -> None:
    """A line for people, on standard error."""
    click.echo(message, err=True)


def show_json(value: Any) -> None:
    """A value on standard output: indented on a terminal, one line elsewhere."""
    click.echo(json.dumps(value, indent=2 if sys.stdout.isatty() else None, ensure_ascii=False))


def show_text(text: str, stream: IO[str] | None = None) -> None:
    """What a function printed, as it is: on a terminal without what could do harm there."""
    out = stream or sys.stdout
    out.write(harmless(text) if out.isatty() else text)
    out.flush()


def harmless(text: str) -> str:
    """Text whose control characters are shown and not obeyed; line breaks, tabs and colours stay."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[1]):02x}" if found[1] else found[0], text)


def one_line(text: str, most: int = 80) -> str:
    """Text for a cell of a table: one line, cut where it is long."""
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"


def paint(word: str) -> str:
    """A status in its colour. `click.echo` takes the colour away where the output is no terminal."""
    colour = _COLOURS.get(word)
    return click.style(word, fg=colour) if colour and not os.environ.get("NO_COLOR") else word


def show_table(
    headings: Sequence[str], rows: Iterable[Sequence[Any]], right: Collection[str] = (), spare: Sequence[str] = ()
) -> None:
    """A table in plain columns.

    Args:
        rows: cells; None is shown as `-`. A cell under a heading `STATUS` or `STATE` has its colour.
        right: the headings of columns of numbers.
        spare: the headings of columns that are left out where a terminal is too narrow, the first of them first; then only the last column is cut.
    """
    from rich.table import Table
    from rich.text import Text

    console = output_console()
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False, padding=(0, _GAP, 0, 0))
    texts = [["-" if cell is None else harmless(str(cell)) for cell in row] for row in rows]
    headings, texts = _fitting(headings, texts, console.width, spare)
    for place, heading in enumerate(headings):
        # What names a thing is what one copies: a narrow terminal cuts the other columns first.
        least = max((len(row[place]) for row in texts), default=1) if heading in _KEPT else None
        table.add_column(heading, justify="right" if heading in right else "left", no_wrap=True, min_width=least)
    if spare:
        table.columns[-1].max_width = max(1, console.width - sum(_widths(headings, texts)[:-1]) - _GAP * len(headings))
    for row in texts:
        table.add_row(
            *(
                Text(cell, style=_COLOURS.get(cell, "") if heading in ("STATUS", "STATE") else "", overflow="ellipsis")
                for heading, cell in zip(headings, row, strict=True)
            )
        )
    print_table(console, table)


def print_table(console: Console, table: Table) -> None:
    """A table of rich's on standard output, without the blanks that it fills the last column with."""
    with console.capture() as capture:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in capture.get().splitlines()), color=coloured(sys.stdout))


def _widths(headings: Sequence[str], rows: list[list[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(headings, *rows, strict=True)]


def _fitting(
    headings: Sequence[str], rows: list[list[str]], width: int, spare: Sequence[str]
) -> tuple[list[str], list[list[str]]]:
    """The columns that a terminal has room for."""
    widths = dict(zip(headings, _widths(headings, rows), strict=True))
    widths[headings[-1]] = min(widths[headings[-1]], _LEAST_LAST)
    for name in spare:
        if sum(widths.values()) + _GAP * (len(widths) - 1) <= width:
            break
        del widths[name]
    places = [place for place, name in enumerate(headings) if name in widths]
    return [headings[place] for place in places], [[row[place] for place in places] for row in rows]


def show_fields(fields: Iterable[tuple[str, Any]]) -> None:
    """Names and values, one a line; those that are None are left out."""
    shown = [(name, str(value)) for name, value in fields if value is not None]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.echo(f"{name:<{width}}  {harmless(value)}", color=coloured(sys.stdout))


def milliseconds(value: float | None) -> str | None:
    """A time as people read it: `12 ms`, `1.25 s`, `2m05s`."""
    if value is None:
        return None
    if value < 1000:
        return f"{value:.0f} ms"
    if value < 60_000:
        return f"{value / 1000:.2f} s"
    minutes, seconds = divmod(round(value / 1000), 60)
    return f"{minutes}m{seconds:02d}s"


def age(instant: str | None, now: datetime | None = None) -> str | None:
    """How long ago an instant of the API was: `5s`, `3m`, `2h`, `4d`."""
    if instant is None:
        return None
    seconds = max(((now or datetime.now(UTC)) - datetime.fromisoformat(instant)).total_seconds(), 0)
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:.0f}s"


def size(number: int) -> str:
    """A number of bytes as people read it."""
    for unit, bytes_ in (("MB", 1_000_000), ("kB", 1000)):
        if number >= bytes_:
            return f"{number / bytes_:.1f} {unit}"
    return f"{number} B"


def output_console() -> Console:
    """Where tables are drawn: standard output, never folded where it is no terminal."""
    from rich.console import Console

    colour = coloured(sys.stdout)
    return Console(
        width=None if sys.stdout.isatty() else _UNFOLDED,
        force_terminal=colour,
        no_color=not colour,
        color_system="standard" if colour else None,
        highlight=False,
    )


def error_console() -> Console:
    """Where bars are drawn: standard error."""
    from rich.console import Console

    return Console(stderr=True, no_color=not coloured(sys.stderr), highlight=False)
