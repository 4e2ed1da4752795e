"""The rows of the table: what is measured, against what, and the bounds."""

from __future__ import annotations

from dataclasses import dataclass

_ECHO = "bare Celery echo"
_NO_OP = "bare Celery no-op"


@dataclass(frozen=True, slots=True)
class Row:
    """One measure.

    Attributes:
        unit: of the value and of the reference.
        reference: what it is compared with; empty where `must` and `aim` bound the value itself and not the ratio.
        must, aim: bounds of the ratio (value / reference), or of the value.
        higher: whether more is better.
    """

    id: str
    title: str
    unit: str
    reference: str
    must: float
    aim: float
    higher: bool = False

    def within(self, figure: float, bound: float) -> bool:
        """Whether a figure keeps to a bound of this row."""
        return figure >= bound if self.higher else figure <= bound


ROWS = (
    Row("warm-p50", "warm call, one client, p50", "ms", f"{_ECHO}, p50", 1.3, 0.8),
    Row("warm-p99", "warm call, one client, p99", "ms", f"{_ECHO}, p99", 2.0, 1.0),
    Row("async-throughput", "by HTTP, 8 connections, to terminal", "1/s", _NO_OP, 1.2, 2.0, higher=True),
    Row("worker-drain", "the worker alone, accepted to terminal", "1/s", _NO_OP, 5.0, 10.0, higher=True),
    Row("cold-python", "first call, Python, p50", "ms", "docker run, hello", 0.15, 0.05),
    Row("cold-nodejs", "first call, Node.js, p50", "ms", "docker run, hello", 0.2, 0.05),
    Row("cold-burst", "20 first calls at once, Python, p95", "ms", "docker run, hello", 1.5, 0.5),
    Row("go-warm", "Go, warm call, p50", "ms", "fork and exec on the host", 4.0, 2.0),
    Row("idle-sandbox-memory", "one idle warm Python sandbox, all told", "MiB", "", 20.0, 10.0),
    Row("rest-memory", "controller, worker and clock at rest", "MiB", "", 350.0, 200.0),
    Row("million-rows", "submit, get, list with 1,000,000 rows, p50", "ms", "empty table", 1.3, 1.0),
    Row("thousand-functions", "1,000 functions in turn", "1/s", "one function", 0.7, 0.9, higher=True),
    Row("four-workers", "4 workers, sleeping 50 ms", "1/s", "one worker", 3.5, 3.9, higher=True),
)
BY_ID = {row.id: row for row in ROWS}
