"""The platform's own id: made by the first migration, it tells two platforms on one host apart."""

from __future__ import annotations

from faas.db.database import Database
from faas.errors import DatabaseDown


def get_id(database: Database) -> str:
    """The id. Raises DatabaseDown, also where the migrations have not run."""
    with database.autocommit() as tx:
        there = tx.one("SELECT to_regclass('platform')")
        row = tx.one("SELECT id FROM platform") if there and there[0] else None
    if row is None:
        raise DatabaseDown("the tables are not there: run the migrations (make migrate-up)")
    return str(row.id)
