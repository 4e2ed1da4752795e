"""Reading what `faas.db.rollup` has added up."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from faas.db.database import Database
from faas.db.rollup import OTHERS
from faas.db.tables import STATS
from faas.domain.stats import BOUNDS_MS, FunctionStats, Stats, Tally, Window

_SUM = ", ".join(f"coalesce(sum(s.{name}), 0)::bigint AS {name}" for name in STATS)
_ENDED = "coalesce(s.succeeded, 0) + coalesce(s.failed, 0) + coalesce(s.timed_out, 0) + coalesce(s.cancelled, 0)"
_OF_ONE = "AND s.function_id = %(function)s"
_SPAN = """SELECT date_bin(%(step)s * interval '1 second', clock_timestamp(), 'epoch') + %(step)s * interval '1 second' - %(length)s AS since,
    coalesce(stats_until, clock_timestamp() - %(length)s) AS until, clock_timestamp() AS now FROM platform"""
_WINDOW = f"""
    SELECT s.function_id, f.name, {_SUM} FROM function_stats s JOIN functions f ON f.id = s.function_id
    WHERE s.step_s = %(step)s AND s.at >= %(since)s AND f.namespace = %(namespace)s AND f.deleted_at IS NULL {{only}}
    GROUP BY s.function_id, f.name ORDER BY sum({_ENDED}) DESC, f.name, s.function_id LIMIT %(limit)s"""
_SERIES = f"""
    SELECT s.function_id, s.at, {_ENDED} AS n FROM function_stats s
    WHERE s.step_s = %(step)s AND s.at >= %(since)s AND s.function_id = ANY (%(ids)s::uuid[])"""
_TOTALS = f"""
    SELECT f.namespace, f.name, {", ".join(f"coalesce(t.{name}, 0) AS {name}" for name in STATS)}
    FROM function_totals t LEFT JOIN functions f ON f.id = t.function_id
    WHERE t.function_id = '{OTHERS}' OR f.deleted_at IS NULL"""
_LAG = "SELECT extract(epoch FROM clock_timestamp() - stats_until)::float AS lag_s FROM platform"


@dataclass(frozen=True, slots=True)
class Total:
    """What a function's invocations have added up to since it is counted by itself. `name` and `namespace` are None for all others together."""

    namespace: str | None
    name: str | None
    tally: Tally


@dataclass(frozen=True, slots=True)
class Totals:
    """All totals, and how old what they tell is (seconds); None where nothing was ever counted."""

    functions: list[Total]
    lag_s: float | None


def read(database: Database, namespace: str, window: Window, *, function_id: str | None = None, limit: int) -> Stats:
    """The functions of a namespace in a window, the busiest first. Deleted ones are left out: another may have the name by now.

    Args:
        function_id: only this one. limit: at most so many.
    """
    about: dict[str, Any] = {
        "namespace": namespace,
        "function": function_id,
        "step": window.step_s,
        "length": window.length,
        "limit": limit + 1,
    }
    with database.autocommit() as tx:
        span: Any = tx.one(_SPAN, about)
        about["since"] = span.since
        found = tx.rows(_WINDOW.format(only=_OF_ONE if function_id else ""), about)
        about["ids"] = [str(row.function_id) for row in found[:limit]]
        series = _series(tx.rows(_SERIES, about), span.since, window)
    empty = (0,) * _length(window)
    functions = tuple(
        FunctionStats(str(row.function_id), row.name, _tally(row), series.get(str(row.function_id), empty))
        for row in found[:limit]
    )
    lag_s = max(0.0, (span.now - span.until).total_seconds())
    return Stats(window, span.since, span.until, lag_s, functions, len(found) > limit)


def totals(database: Database) -> Totals:
    """What there is for `/metrics`."""
    with database.autocommit() as tx:
        lag: Any = tx.one(_LAG)
        return Totals([Total(row.namespace, row.name, _tally(row)) for row in tx.rows(_TOTALS)], lag and lag.lag_s)


def _length(window: Window) -> int:
    return int(window.length.total_seconds()) // window.step_s


def _series(rows: list[Any], since: Any, window: Window) -> dict[str, tuple[int, ...]]:
    found: dict[str, list[int]] = {}
    for row in rows:
        place = int((row.at - since).total_seconds()) // window.step_s
        counts = found.setdefault(str(row.function_id), [0] * _length(window))
        if place < len(counts):
            counts[place] = row.n
    return {id_: tuple(counts) for id_, counts in found.items()}


_SUMS = tuple(one.name for one in fields(Tally) if one.name not in ("waits", "runs"))


def _tally(row: Any) -> Tally:
    """Rows begin with two columns of names, then come those of `STATS`."""
    numbers = [int(number) for number in row[2:]]
    sums, buckets = numbers[: len(_SUMS)], numbers[len(_SUMS) :]
    half = len(BOUNDS_MS)
    return Tally(**dict(zip(_SUMS, sums, strict=True)), waits=tuple(buckets[:half]), runs=tuple(buckets[half:]))
