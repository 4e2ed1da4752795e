"""The statistics on the dashboard and on a function's page: what `GET /stats` tells, for people. No script: the page asks to be loaded again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from flask import Blueprint

from faas.domain.stats import Window
from faas.web import query, stats
from faas.web.auth import caller
from faas.web.context import services

blueprint = Blueprint("stats_page", __name__)
REFRESH_S = 5
# What the clock has not added up for so long is told: it does so every two seconds.
_LATE_MS = 30_000
# Units of an SVG's height.
_HIGH = 20


def section(limit: int, function: str | None = None) -> dict[str, Any]:
    """What the template `stats.html` needs, by the query's `window` and `refresh`.

    Args:
        limit: at most so many functions. function: only this one, by its id.

    Raises:
        Invalid: the query is none of ours.
    """
    window = Window(query.choice("window", stats.WINDOWS))
    refresh = query.choice("refresh", ("on", "off")) == "on"
    report = services().stats.read(window, function=function, limit=limit, namespace=caller().namespace)
    shown = stats.shown(report)
    return {
        **shown,
        "windows": list(Window),
        "refresh_s": REFRESH_S if refresh else None,
        "late": shown["lag_ms"] > _LATE_MS,
    }


@blueprint.app_template_filter("bars")
def bars(series: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Place, height and count of each bar; one that counts anything can be seen."""
    most = max(series, default=0)
    for place, count in enumerate(series):
        if count:
            yield place, max(1, round(_HIGH * count / most)), count


@blueprint.app_template_filter("milliseconds")
def milliseconds(value: float | None) -> str:
    """A time as people read it: `0.5 ms`, `12 ms`, `1.25 s`, `2m05s`; a dash where there is none."""
    if value is None:
        return "–"
    if value < 1000:
        return f"{value:.1f} ms" if value < 10 else f"{value:.0f} ms"
    if value < 60_000:
        return f"{value / 1000:.2f} s"
    minutes, seconds = divmod(round(value / 1000), 60)
    return f"{minutes}m{seconds:02d}s"
