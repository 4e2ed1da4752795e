"""Monthly partitions of `invocations` on its UUIDv7 key. What fits no month (a clock far off) falls into the default partition."""

from __future__ import annotations

from datetime import UTC, datetime

from faas.db.database import Database

# Taken by whoever makes or drops a partition.
LOCK = 7041776


def ensure_months(database: Database, now: datetime, ahead: int = 2) -> list[str]:
    """Make the partitions of this month and the next ones where they are not there. Safe to run from many processes at once.

    A month whose first rows fell into the default partition already stays there: rows are not moved under load.

    Returns:
        The names of the partitions that were made.
    """
    first = now.year * 12 + now.month - 1
    return [name for index in range(first, first + ahead + 1) if (name := _ensure(database, index))]


def _ensure(database: Database, index: int) -> str | None:
    name = f"invocations_{index // 12:04d}_{index % 12 + 1:02d}"
    low, high = least_id(month(index)), least_id(month(index + 1))
    with database.begin() as tx:
        tx.run("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        there = tx.one("SELECT to_regclass(%s)", (name,))
        late = tx.one("SELECT 1 FROM invocations_rest WHERE id >= %s AND id < %s LIMIT 1", (low, high))
        if (there and there[0]) or late:
            return None
        tx.run(f"CREATE TABLE {name} PARTITION OF invocations FOR VALUES FROM ('{low}') TO ('{high}')")
    return name


def month(index: int) -> datetime:
    """The first moment of a month; months are counted from year 0."""
    return datetime(index // 12, index % 12 + 1, 1, tzinfo=UTC)


def least_id(moment: datetime) -> str:
    """The least UUIDv7 of a moment; before 1970 there are none, and it is the least of all."""
    text = f"{max(0, int(moment.timestamp() * 1000)):012x}"
    return f"{text[:8]}-{text[8:]}-0000-0000-000000000000"
