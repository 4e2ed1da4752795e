"""The audit log: rows are added, and never changed."""

from __future__ import annotations

from faas.db import cursors
from faas.db.database import Database
from faas.domain import ids
from faas.domain.audit import Entry
from faas.domain.invocation import Page

_COLUMNS = "id, at, namespace, key_id, key_name, action, object, remote, request_id"


def add(
    database: Database,
    *,
    namespace: str,
    key_id: str | None,
    key_name: str | None,
    action: str,
    object_: str | None,
    remote: str | None,
    request_id: str,
) -> None:
    """Write a change down; see `faas.domain.audit.Entry`."""
    sql = f"INSERT INTO audit ({_COLUMNS}) VALUES (%s, clock_timestamp(), %s, %s, %s, %s, %s, %s, %s)"
    with database.begin() as tx:
        tx.run(sql, (ids.uuid7(), namespace, key_id, key_name, action, object_, remote, request_id))


def find(database: Database, *, namespace: str | None, limit: int, cursor: str | None) -> Page[Entry]:
    """A page of the changes, newest first.

    Args:
        namespace: None for those of all.
    """
    after = cursors.decode(cursor)
    conditions = [
        condition
        for condition, given in (("namespace = %(namespace)s", namespace), ("id < %(after)s", after))
        if given is not None
    ]
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    parameters = {"namespace": namespace, "after": after, "limit": limit + 1}
    with database.autocommit() as tx:
        rows = tx.rows(f"SELECT {_COLUMNS} FROM audit {where} ORDER BY id DESC LIMIT %(limit)s", parameters)
    return cursors.page(
        rows,
        limit,
        lambda row: Entry(
            str(row.id),
            row.at,
            row.namespace,
            row.key_id and str(row.key_id),
            row.key_name,
            row.action,
            row.object,
            row.remote,
            row.request_id,
        ),
    )
