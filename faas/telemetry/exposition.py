"""Sums as metrics of Prometheus: the fields that `counts` made, back in their series."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate, product
from typing import Final, TypeAlias

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from faas.telemetry import catalogue
from faas.telemetry.counts import SUM, Counter, Gauge, Histogram, Values, bound_text

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
# Series that are known before anything was counted begin at 0, so that the first of all is seen as an increase.
_MOST_ZEROS = 16

Instrument: TypeAlias = Counter | Histogram | Gauge
Series: TypeAlias = dict[tuple[str, ...], dict[str, float]]

_BY_NAME: Final[Mapping[str, Instrument]] = {
    one.name: one for one in (*catalogue.COUNTERS, *catalogue.HISTOGRAMS, *catalogue.GAUGES)
}


class Reading:
    """Fields and their numbers, sorted into series. What is not in the catalogue is left out.

    Args:
        routes: what the label `route` may say.
    """

    def __init__(self, routes: frozenset[str]) -> None:
        self._routes = routes
        self._series: dict[Instrument, Series] = {}
        self.unknown: list[str] = []

    def add(self, fields: Mapping[str, str | float]) -> None:
        """Add numbers to their series."""
        for text, number in fields.items():
            found = self._place(text)
            value = _number(number)
            if found is None or value is None:
                self.unknown.append(text)
                continue
            instrument, labels, part = found
            cells = self._series.setdefault(instrument, {}).setdefault(labels, {})
            cells[part] = cells.get(part, 0.0) + value

    def families(self) -> Iterator[Metric]:
        """All metrics of the catalogue."""
        for instrument in _BY_NAME.values():
            series: Series = {labels: {} for labels in _expected(instrument)}
            yield _family(instrument, series | self._series.get(instrument, {}))

    def _place(self, text: str) -> tuple[Instrument, tuple[str, ...], str] | None:
        try:
            name, *rest = json.loads(text)
        except (ValueError, TypeError):
            return None
        instrument = _BY_NAME.get(name) if isinstance(name, str) else None
        if instrument is None or not all(isinstance(one, str) for one in rest):
            return None
        part = ""
        if isinstance(instrument, Histogram):
            part = rest.pop() if rest else ""
            if part not in _parts(instrument):
                return None
        if len(rest) != len(instrument.labels) or not all(map(self._fits, instrument.labels.values(), rest)):
            return None
        return instrument, tuple(rest), part

    def _fits(self, values: Values, said: str) -> bool:
        if values is None:
            return said in self._routes or said == catalogue.NO_ROUTE
        return said in values if isinstance(values, frozenset) else values.fullmatch(said) is not None


def text(families: Callable[[], Iterable[Metric]]) -> bytes:
    """Metrics in the form that `CONTENT_TYPE` names."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(families))
    return generate_latest(registry)


def sections(families: Iterable[Metric]) -> dict[str, str]:
    """The same of each metric: by its head (the lines that say what it is) its samples."""
    parts = re.split("^# HELP ", text(lambda: families).decode(), flags=re.MULTILINE)[1:]
    split = [part.split("\n", 2) for part in parts]
    return {f"# HELP {words}\n{kind}\n": samples for words, kind, samples in split}


def gauge(name: str, words: str, value: float) -> GaugeMetricFamily:
    """A gauge without labels."""
    return GaugeMetricFamily(name, words, value=value)


def gauges(name: str, words: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    """A gauge by one label."""
    family = GaugeMetricFamily(name, words, labels=(label,))
    for value, number in values.items():
        family.add_metric((value,), number)
    return family


class _Collector(Collector):
    def __init__(self, families: Callable[[], Iterable[Metric]]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families()

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not ask anybody."""
        return ()


def _expected(instrument: Instrument) -> Iterable[tuple[str, ...]]:
    """The labels of all series, where they are known and few."""
    words = [values if isinstance(values, frozenset) else frozenset() for values in instrument.labels.values()]
    return product(*map(sorted, words)) if math.prod(map(len, words)) <= _MOST_ZEROS else ()


def _parts(histogram: Histogram) -> tuple[str, ...]:
    return (*map(bound_text, histogram.bounds), "+Inf", SUM)


def _family(instrument: Instrument, series: Series) -> Metric:
    names = tuple(instrument.labels)
    if isinstance(instrument, Histogram):
        return _histogram(HistogramMetricFamily(instrument.name, instrument.words, labels=names), instrument, series)
    kind = CounterMetricFamily if isinstance(instrument, Counter) else GaugeMetricFamily
    family = kind(instrument.name, instrument.words, labels=names)
    for labels, cells in series.items():
        family.add_metric(labels, cells.get("", 0.0))
    return family


def _histogram(family: HistogramMetricFamily, histogram: Histogram, series: Series) -> Metric:
    *bounds, total = _parts(histogram)
    for labels, cells in series.items():
        counts = accumulate(cells.get(bound, 0.0) for bound in bounds)
        family.add_metric(labels, list(zip(bounds, counts, strict=True)), cells.get(total, 0.0))
    return family


def _number(value: str | float) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
