"""The platform's own id: made by the first migration, it tells two platforms on one host apart."""

from __future__ import annotations

from faas.db.database import Database
from faas.errors import DatabaseDown


def get_id(database: Database) -> str:
    """The id. Raises DatabaseDown, also where the migrations have not run."""
    with database.autocommit() as tx:
        row = tx.one("SELECT id FROM platform")
    if row is None:
        raise DatabaseDown("the platform has no id: run the migrations (make migrate-up)")
    return str(row.id)
