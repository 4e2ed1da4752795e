"""What `/metrics` tells of functions: what `faas.db.rollup` has added up of their invocations, whoever ran them.

A function has some forty lines, at several microseconds each in the library: those of a function that has ended nothing since the last scrape are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from faas.db.stats import Total, Totals
from faas.domain.stats import BOUNDS_MS, Tally
from faas.telemetry import exposition
from faas.telemetry.counts import bound_text

# Those of `BOUNDS_MS` that are told, in milliseconds: by steps of four to a quarter of an hour.
_TOLD_MS = tuple(bound for bound in BOUNDS_MS if bound in {4**n for n in range(11)})
# How many of the buckets of a tally come before each of them.
_UP_TO = tuple(BOUNDS_MS.index(bound) + 1 for bound in _TOLD_MS)
_BOUNDS = tuple(bound_text(bound / 1000) for bound in _TOLD_MS)
# Stands for all functions that have no series of their own; no function can be called so.
_OTHERS = "*"
_FUNCTION = ("namespace", "function")


class FunctionMetrics:
    """Tells of functions. Any thread may use it."""

    def __init__(self) -> None:
        # By labels: what a function's lines were made of, and its lines by the heads of its metrics.
        self._kept: dict[tuple[str, str], tuple[Tally, dict[str, str]]] = {}

    def text(self, totals: Totals) -> str:
        """All metrics of functions, in the form that `exposition.CONTENT_TYPE` names."""
        before, kept = self._kept, {}
        sections: dict[str, list[str]] = {head: [] for head in exposition.sections(_families([]))}
        for total in totals.functions:
            known = before.get(_labels(total))
            if known is None or known[0] != total.tally:
                known = total.tally, exposition.sections(_families([total]))
            kept[_labels(total)] = known
            for head, lines in known[1].items():
                sections[head].append(lines)
        self._kept = kept
        return "".join(part for head, lines in sections.items() for part in (head, *lines))


def _families(totals: list[Total]) -> Iterator[Metric]:
    ended = CounterMetricFamily(
        "faas_function_invocations", "Invocations that ended, by function and status.", labels=(*_FUNCTION, "status")
    )
    waits = HistogramMetricFamily(
        "faas_function_wait_seconds", "From the time that an invocation was due to its start.", labels=_FUNCTION
    )
    runs = HistogramMetricFamily("faas_function_run_seconds", "How long invocations ran.", labels=_FUNCTION)
    counters = {name: CounterMetricFamily(f"faas_function_{name}", words, labels=_FUNCTION) for name, words, _ in _SUMS}
    for total in totals:
        labels, tally = _labels(total), total.tally
        for status in ("succeeded", "failed", "timed_out", "cancelled"):
            ended.add_metric((*labels, status), getattr(tally, status))
        for name, _, value in _SUMS:
            counters[name].add_metric(labels, value(tally))
        waits.add_metric(labels, _buckets(tally.waits), tally.wait_ms / 1000)
        runs.add_metric(labels, _buckets(tally.runs), tally.run_ms / 1000)
    yield from (ended, waits, runs, *counters.values())


_SUMS: tuple[tuple[str, str, Callable[[Tally], float]], ...] = (
    ("platform_failures", "Invocations that failed by the platform's own fault.", lambda one: one.platform_failures),
    ("cold_starts", "Invocations that found no warm sandbox.", lambda one: one.cold_starts),
    ("load_seconds", "Loading of code in cold starts, together.", lambda one: one.init_ms / 1000),
    ("admissions", "Invocations that were given a place of their function.", lambda one: one.admissions),
    ("admission_wait_seconds", "Waiting for such a place, together.", lambda one: one.admission_ms / 1000),
)


def _labels(total: Total) -> tuple[str, str]:
    return total.namespace or _OTHERS, total.name or _OTHERS


def _buckets(counts: tuple[int, ...]) -> list[tuple[str, float]]:
    """Cumulative, as Prometheus has them."""
    told = [(bound, float(sum(counts[:end]))) for bound, end in zip(_BOUNDS, _UP_TO, strict=True)]
    return [*told, ("+Inf", float(sum(counts)))]
