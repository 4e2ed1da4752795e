"""Metrics in Prometheus's text form: this process's requests, and the platform as the database has it at the time of the scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from faas.db.measures import Measures

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
# From a quick read to an answer that was held for a minute.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The metrics of one process. Labels have few values, whatever clients send.

    Args:
        platform: what the database knows; None where it does not answer.
        backlog: how many messages wait in the broker; None where it does not answer.
    """

    def __init__(self, platform: Callable[[], Measures | None], backlog: Callable[[], int | None]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "faas_http_requests",
            "Requests that this process answered.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "faas_http_request_seconds",
            "Time to the beginning of the answer, waiting that was asked for included.",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._registry.register(_Platform(platform, backlog))
        ProcessCollector(registry=self._registry)

    def answered(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            route: the rule that matched; None where none did.
            seconds: from its beginning to its answer's.
        """
        verb, place = method if method in _METHODS else "other", route or "none"
        self._requests.labels(verb, place, str(status)).inc()
        self._seconds.labels(verb, place).observe(seconds)

    def text(self) -> bytes:
        """All metrics, in the form that `CONTENT_TYPE` names."""
        return generate_latest(self._registry)


class _Platform(Collector):
    """Gauges that are the same whichever process is asked."""

    def __init__(self, platform: Callable[[], Measures | None], backlog: Callable[[], int | None]) -> None:
        self._platform, self._backlog = platform, backlog

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """What there is to tell; what does not answer is left out but for the word that it does not."""
        measured, backlog = self._platform(), self._backlog()
        yield _gauge("faas_database_up", "Whether PostgreSQL answers.", float(measured is not None))
        yield _gauge("faas_broker_up", "Whether Redis answers.", float(backlog is not None))
        if backlog is not None:
            yield _gauge("faas_broker_messages", "Messages in Redis that no worker has taken.", backlog)
        if measured is None:
            return
        yield _by("faas_invocations", "Invocations that have not ended, by stage.", "stage", measured.invocations)
        yield _gauge(
            "faas_queue_oldest_seconds", "Age of the oldest invocation that is due and not running.", measured.oldest_s
        )
        yield _by("faas_functions", "Functions, by state.", "state", measured.functions)
        yield _by("faas_workers", "Workers that are alive, by engine.", "engine", measured.workers)


def _gauge(name: str, words: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, words, value=value)


def _by(name: str, words: str, label: str, values: dict[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, words, labels=(label,))
    for value, number in values.items():
        family.add_metric((value,), number)
    return family
