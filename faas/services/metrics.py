"""What `/metrics` tells: what all processes have counted, and the platform as PostgreSQL has it at the time of the scrape."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from importlib.metadata import version

from prometheus_client.metrics_core import Metric

from faas.db.measures import Measures
from faas.errors import BrokerDown
from faas.queueing.reporter import Reporter
from faas.queueing.sums import Sums
from faas.services.function_metrics import FunctionMetrics
from faas.services.measuring import Measuring
from faas.telemetry import catalogue, exposition
from faas.telemetry.counts import Counts
from faas.telemetry.exposition import gauge, gauges

log = logging.getLogger("faas.services")

# Newer processes may count what this one does not know: only what nobody here has known for a day is removed.
_FORGET_SECONDS = 86_400.0


class Metrics:
    """Counts in this process, and scrapes for all.

    Args:
        counts: this process's.
        reporter: sends them to Redis.
        measuring: what the database knows.
        forget_s: sums that are not known here are removed after so long.
    """

    def __init__(
        self,
        counts: Counts,
        reporter: Reporter,
        measuring: Measuring,
        *,
        forget_s: float = _FORGET_SECONDS,
    ) -> None:
        self._counts, self._reporter = counts, reporter
        self._measuring, self._forget_s = measuring, forget_s
        self._functions = FunctionMetrics()
        self._lock = threading.Lock()
        # Since when (monotonic) a field has been there that is not known here.
        self._unknown: dict[str, float] = {}

    def answered(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            route: the rule that matched; None where none did.
            seconds: from its beginning to its answer's.
        """
        verb, place = method if method in catalogue.METHODS else "other", route or catalogue.NO_ROUTE
        self._counts.add(catalogue.HTTP_REQUESTS, verb, place, str(status))
        self._counts.observe(catalogue.HTTP_SECONDS, seconds, verb, place)

    def start(self) -> None:
        """Begin to report what this process counts."""
        self._reporter.start()

    def close(self) -> None:
        """Report for the last time."""
        self._reporter.stop()

    def scrape(self, routes: Iterable[str]) -> bytes:
        """All metrics, in the form that `exposition.CONTENT_TYPE` names.

        Args:
            routes: the rules of this application.
        """
        known, is_up = frozenset(routes), self._measuring.database_up()
        told = exposition.text(lambda: self._collect(known, is_up))
        totals = self._measuring.totals() if is_up else None
        return told if totals is None else told + self._functions.text(totals).encode()

    def _collect(self, routes: frozenset[str], is_up: bool) -> Iterator[Metric]:
        sums = self._read()
        yield gauges("faas_build_info", "The version of the platform.", "version", {version("faas-platform"): 1})
        yield gauge("faas_database_up", "Whether PostgreSQL answers.", float(is_up))
        yield gauge("faas_broker_up", "Whether Redis answers.", float(sums is not None))
        if sums is not None:
            yield gauge("faas_broker_messages", "Messages in Redis that no worker has taken.", sums.backlog)
            yield from self._counted(sums, routes)
        if is_up and (platform := self._measuring.platform()) is not None:
            yield from _of_platform(platform)
        totals = self._measuring.totals() if is_up else None
        if totals is not None and totals.lag_s is not None:
            yield gauge("faas_stats_lag_seconds", "How old the numbers by function are.", max(0.0, totals.lag_s))

    def _read(self) -> Sums | None:
        try:
            self._reporter.flush()
            return self._reporter.sums.read()
        except BrokerDown as error:
            log.warning("not scraped: %s", error)
            return None

    def _counted(self, sums: Sums, routes: frozenset[str]) -> Iterator[Metric]:
        reading = exposition.Reading(routes)
        reading.add(sums.counted)
        self._forget(reading.unknown)
        for one in sums.gauges:
            reading.add(one)
        yield from reading.families()

    def _forget(self, unknown: list[str]) -> None:
        """Remove what nobody here has known for long."""
        now = time.monotonic()
        with self._lock:
            self._unknown = {field: self._unknown.get(field, now) for field in unknown}
            old = [field for field, since in self._unknown.items() if now - since > self._forget_s]
        try:
            self._reporter.sums.forget(old)
        except BrokerDown as error:
            log.warning("old sums were not removed: %s", error)


def _of_platform(measured: Measures) -> Iterator[Metric]:
    yield gauges("faas_invocations", "Invocations that have not ended, by stage.", "stage", measured.invocations)
    yield gauge(
        "faas_queue_oldest_seconds", "Age of the oldest invocation that is due and not running.", measured.oldest_s
    )
    yield gauges("faas_functions", "Functions, by state.", "state", measured.functions)
    workers = {engine: measured.workers.get(engine, 0) for engine in {"container", "simple"} | measured.workers.keys()}
    yield gauges("faas_workers", "Workers that are alive, by engine.", "engine", workers)
