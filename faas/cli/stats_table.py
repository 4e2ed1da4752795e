"""The table of `faas stats`, and what is said below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from faas.cli.output import harmless, milliseconds

if TYPE_CHECKING:
    from rich.table import Table

# What a narrow terminal does without, the first of them first; then the bars. What tells of trouble stays.
_SPARE = ("COLD", "P99", "WAIT", "P50", "OK", "RUNNING")
_COLOURS = {"FAILED": "red", "TIMED OUT": "red", "QUEUED": "yellow", "RUNNING": "cyan"}
_GAP = 2
_BARS = " ▁▂▃▄▅▆▇█"
_MOST_BARS = 20
# What the clock has not added up for so long is told: it does so every two seconds.
_LATE_MS = 30_000


def table(document: dict[str, Any], width: int) -> Table:
    """What the API tells of statistics as a table for people, at most so many columns wide."""
    from rich.table import Table
    from rich.text import Text

    series = f"LAST {document['window']}"
    rows = [_cells(item, series) for item in document["items"]]
    headings = _fitting(rows, width, (*_SPARE, series))
    made = Table(box=None, pad_edge=False, header_style="bold", show_edge=False, padding=(0, _GAP, 0, 0))
    for heading in headings:
        made.add_column(heading, justify="left" if heading in ("NAME", series) else "right", no_wrap=True)
    for row in rows:
        styles = (_COLOURS.get(heading, "") if row[heading] != "0" else "" for heading in headings)
        made.add_row(*(Text(row[heading], style) for heading, style in zip(headings, styles, strict=True)))
    return made


def bars(series: Sequence[int]) -> str:
    """Counts as a row of bars, the newest at the right, on a scale of their own; a count that is not zero can be seen."""
    together = max(1, -(-len(series) // _MOST_BARS))
    # From the newest on, so that it is the oldest bar that stands for a shorter time.
    sums = [sum(series[max(0, end - together) : end]) for end in range(len(series), 0, -together)][::-1]
    most = max(sums, default=0)
    return "".join(_BARS[-(-one * (len(_BARS) - 1) // most)] if one else _BARS[0] for one in sums)


def notes(document: dict[str, Any], name: str | None) -> Iterator[str]:
    """What is said below the table. `name`: the function that was asked for alone."""
    if not document["items"]:
        yield f"{name or 'No function'} has ended {'nothing' if name else 'anything'} in the last {document['window']}, and nothing is queued."
    if document["more"]:
        yield f"These are the {len(document['items'])} busiest functions; --limit shows more."
    if document["lag_ms"] > _LATE_MS:
        late = milliseconds(document["lag_ms"])
        yield f"What ended in the last {late} is not counted yet: is the clock running? `faas doctor` looks."


def _cells(item: dict[str, Any], series: str) -> dict[str, str]:
    ran, waited = item["duration_ms"], item["queue_ms"]
    return {
        "NAME": harmless(item["function_name"]),
        "ENDED": f"{item['ended']}",
        "OK": f"{item['succeeded']}",
        "FAILED": f"{item['failed']}",
        "TIMED OUT": f"{item['timed_out']}",
        "P50": milliseconds(ran["p50"]) or "-",
        "P95": milliseconds(ran["p95"]) or "-",
        "P99": milliseconds(ran["p99"]) or "-",
        "WAIT": milliseconds(waited["p95"]) or "-",
        "COLD": f"{item['cold_starts']}",
        "QUEUED": f"{item['queued']}",
        "RUNNING": f"{item['running']}",
        series: bars(item["series"]),
    }


def _fitting(rows: Sequence[dict[str, str]], width: int, spare: Sequence[str]) -> list[str]:
    """The headings of the columns that there is room for."""
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in rows[0]}
    for name in spare:
        if sum(widths.values()) + _GAP * (len(widths) - 1) <= width:
            break
        del widths[name]
    return list(widths)
