"""`/stats`: what the functions have done of late."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, Response

from faas.domain.stats import Window, quantile
from faas.services.stats import Report, StatsLine
from faas.web import query, render
from faas.web.auth import caller
from faas.web.context import services

blueprint = Blueprint("stats", __name__)
WINDOWS = (Window.HOUR, Window.MINUTE, Window.FIVE_MINUTES, Window.DAY)


@blueprint.get("/stats")
def read() -> Response:
    """The functions of the caller's namespace in a window."""
    window, function = Window(query.choice("window", WINDOWS)), query.text("function_id")
    limit = query.limit()
    return render.json_answer(
        shown(services().stats.read(window, function=function, limit=limit, namespace=caller().namespace))
    )


def shown(report: Report) -> dict[str, Any]:
    """A report as the answer has it."""
    return {
        "window": report.window.value,
        "since": render.instant(report.since),
        "until": render.instant(report.until),
        "lag_ms": round(report.lag_s * 1000),
        "step_s": report.window.step_s,
        "items": [_item(line) for line in report.lines],
        "more": report.more,
    }


def _item(line: StatsLine) -> dict[str, Any]:
    tally = line.ended.tally
    return {
        "function_id": line.ended.function_id,
        "function_name": line.ended.function_name,
        "ended": tally.count,
        "succeeded": tally.succeeded,
        "failed": tally.failed,
        "timed_out": tally.timed_out,
        "cancelled": tally.cancelled,
        "platform_failures": tally.platform_failures,
        "cold_starts": tally.cold_starts,
        "init_ms": round(tally.init_ms / tally.cold_starts) if tally.cold_starts else None,
        "duration_ms": _times(tally.runs, tally.run_ms),
        "queue_ms": _times(tally.waits, tally.wait_ms),
        "queued": line.queued,
        "running": line.running,
        "oldest_queued_ms": round(line.oldest_s * 1000),
        "series": list(line.ended.series),
    }


def _times(buckets: Sequence[int], total_ms: int) -> dict[str, float | None]:
    count = sum(buckets)
    found: dict[str, float | None] = {"mean": round(total_ms / count, 1) if count else None}
    for name, part in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        value = quantile(buckets, part)
        found[name] = None if value is None else round(value, 1)
    return found
