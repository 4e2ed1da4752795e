"""Namespaces, and which one something belongs to. An invocation's is its function's: a function never changes it, and its row outlives it."""

from __future__ import annotations

from typing import Any

from psycopg2.errors import UniqueViolation

from faas.db.database import Database
from faas.domain.namespace import DEFAULT, Namespace, Quotas, Used
from faas.errors import Conflict, NotFound

QUOTAS = "requests_per_minute, queued, concurrent, code_mb, cpu_seconds_per_day"
TODAY = "(clock_timestamp() AT TIME ZONE 'UTC')::date"
# Sums over what a namespace has; its name stands in the place of `{}`.
_LIVING = "f.namespace = {} AND f.deleted_at IS NULL"
CONCURRENT = (
    f"SELECT coalesce(sum(s.capacity), 0)::bigint FROM slots s JOIN functions f ON f.id = s.function_id WHERE {_LIVING}"
)
CODE = f"""SELECT coalesce(sum(r.code_size), 0)::bigint
    FROM function_revisions r JOIN functions f ON f.id = r.function_id AND f.revision = r.number WHERE {_LIVING}"""
CPU_MS = f"SELECT coalesce(sum(u.cpu_ms), 0)::bigint FROM usage u WHERE u.namespace = {{}} AND u.day = {TODAY}"
_SELECT = f"""SELECT n.name, n.created_at, {", ".join(f"n.{name}" for name in QUOTAS.split(", "))},
    ({CONCURRENT}) AS used_concurrent, ({CODE}) AS used_code, ({CPU_MS}) / 1000 AS used_cpu FROM namespaces n""".format(
    *["n.name"] * 3
)


def add(database: Database, name: str) -> Namespace:
    """Make one. Raises Conflict where it is there."""
    sql = "INSERT INTO namespaces (name, created_at) VALUES (%s, clock_timestamp()) RETURNING name, created_at"
    try:
        with database.begin() as tx:
            row = tx.one(sql, (name,))
    except UniqueViolation as error:
        raise Conflict(f"There is a namespace {name!r} already.") from error
    assert row is not None
    return Namespace(row.name, row.created_at)


def find(database: Database) -> list[Namespace]:
    """All of them, by name."""
    with database.autocommit() as tx:
        return [_namespace(row) for row in tx.rows(f"{_SELECT} ORDER BY n.name")]


def get(database: Database, name: str) -> Namespace:
    """One of them. Raises NotFound."""
    with database.autocommit() as tx:
        row = tx.one(f"{_SELECT} WHERE n.name = %s", (name,))
    if row is None:
        raise NotFound(f"There is no namespace {name!r}.")
    return _namespace(row)


def exists(database: Database, name: str) -> bool:
    """Whether there is one of that name."""
    with database.autocommit() as tx:
        return tx.one("SELECT 1 FROM namespaces WHERE name = %s", (name,)) is not None


def several(database: Database) -> bool:
    """Whether there is another than `default`."""
    with database.autocommit() as tx:
        return tx.one("SELECT 1 FROM namespaces WHERE name <> %s LIMIT 1", (DEFAULT,)) is not None


def of_function(database: Database, function_id: str) -> str | None:
    """Where a function is, or was before it was deleted; None where there was none."""
    return _one(database, "SELECT namespace FROM functions WHERE id = %s", function_id)


def of_invocation(database: Database, invocation_id: str) -> str | None:
    """Where an invocation is; None where there is none."""
    sql = "SELECT f.namespace FROM invocations i JOIN functions f ON f.id = i.function_id WHERE i.id = %s"
    return _one(database, sql, invocation_id)


def of_batch(database: Database, batch_id: str) -> str | None:
    """Where the invocations of a batch are, which is one namespace; None where it has nobody."""
    sql = """SELECT f.namespace FROM invocations i JOIN functions f ON f.id = i.function_id
        WHERE i.batch_id = %s AND i.id > %s LIMIT 1"""
    return _one(database, sql, batch_id, batch_id)


def _namespace(row: Any) -> Namespace:
    name, created_at, *quotas, concurrent, code_bytes, cpu_seconds = row
    return Namespace(name, created_at, Quotas(*quotas), Used(concurrent, code_bytes, cpu_seconds))


def _one(database: Database, sql: str, *parameters: str) -> str | None:
    with database.autocommit() as tx:
        row = tx.one(sql, parameters)
    return str(row.namespace) if row else None
