"""Tells Redis every few seconds what this process has counted."""

from __future__ import annotations

import logging
import os
import secrets
import threading

from prometheus_client import ProcessCollector

from faas.errors import BrokerDown
from faas.queueing.sums import SumsInRedis
from faas.telemetry import catalogue
from faas.telemetry.counts import Counts, Reading

log = logging.getLogger("faas.queueing")

# So many intervals without a word, and a process's gauges are left out.
_SILENT = 3
# Whoever scrapes does not wait for a report that hangs, and then for his own.
_BUSY_SECONDS = 1.0


class Reporter:
    """Reports for one process, from a thread of its own. What can't be sent is kept: no more than one number for each series.

    Args:
        role: `controller`, `worker` or `clock`.
        interval_s: between two reports.
    """

    def __init__(self, counts: Counts, redis_url: str, role: str, interval_s: float) -> None:
        self._counts, self._role, self._interval_s = counts, role, interval_s
        self._sums = SumsInRedis(redis_url, f"{role}-{os.getpid()}-{secrets.token_hex(6)}", _SILENT * interval_s)
        self._lock = threading.Lock()
        self._number = 0
        # A report that may have arrived or not.
        self._unsent: dict[str, float] | None = None
        self._cpu_s = 0.0
        self._silenced = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._process = ProcessCollector(registry=None)
        counts.watch(self._of_process)

    @property
    def sums(self) -> SumsInRedis:
        """Where it reports to."""
        return self._sums

    def start(self) -> None:
        """Begin to report."""
        self._thread.start()

    def flush(self) -> None:
        """Report now. Raises BrokerDown, also where a report before it is still under way."""
        if not self._lock.acquire(timeout=_BUSY_SECONDS):
            raise BrokerDown("Redis does not answer: a report is under way")
        try:
            late = self._unsent is not None
            self._send()
            if late:
                self._send()
        finally:
            self._lock.release()

    def stop(self) -> None:
        """Report for the last time, where Redis is there, and close."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)
        try:
            self.flush()
            self._sums.leave()
        except BrokerDown as error:
            log.warning("what was counted of late is lost: %s", error)
        self._sums.close()

    def _run(self) -> None:
        while True:
            try:
                self.flush()
                self._silenced = False
            except BrokerDown as error:
                if not self._silenced:
                    log.warning("what is counted is kept until Redis answers: %s", error)
                self._silenced = True
            except Exception:
                # Without this thread nothing of the process would be seen any more.
                log.exception("what was counted could not be told")
            if self._stopping.wait(self._interval_s):
                return

    def _send(self) -> None:
        gauges = self._counts.gauges()
        if self._unsent is None:
            self._number += 1
            self._unsent = self._counts.take()
        self._sums.report(self._number, self._unsent, gauges)
        self._unsent = None

    def _of_process(self) -> list[Reading]:
        found = {sample.name: sample.value for family in self._process.collect() for sample in family.samples}
        cpu_s = found.get("process_cpu_seconds_total", self._cpu_s)
        self._counts.add(catalogue.CPU_SECONDS, self._role, by=max(0.0, cpu_s - self._cpu_s))
        self._cpu_s = cpu_s
        role = (self._role,)
        return [
            (catalogue.PROCESSES, role, 1.0),
            (catalogue.MEMORY, role, found.get("process_resident_memory_bytes", 0.0)),
            (catalogue.FILES, role, found.get("process_open_fds", 0.0)),
            (catalogue.THREADS, role, float(threading.active_count())),
        ]
