"""Alembic's environment: online only, in one transaction, under a lock so that two deploys at once are one."""

from __future__ import annotations

import time

from alembic import context
from sqlalchemy import Connection, create_engine, pool, text

from faas.db.tables import metadata

_LOCK = text("SELECT pg_try_advisory_xact_lock(7041775)")
_PAUSE_SECONDS = 0.2


def run() -> None:
    """Run the migrations on the database that the configuration names."""
    url = context.config.attributes["url"]
    engine = create_engine(url, poolclass=pool.NullPool)
    with engine.begin() as connection:
        _wait_for_turn(connection)
        context.configure(
            connection=connection,
            target_metadata=metadata,
            # The monthly partitions are made by the platform, not by migrations.
            include_name=lambda name, kind, _parents: kind != "table" or name in metadata.tables,
        )
        context.run_migrations()
    engine.dispose()


def _wait_for_turn(connection: Connection) -> None:
    # Asked again and again: a statement that waits for the lock holds a snapshot, and who has the lock may make an index beside writers, which waits
    # for all snapshots that are older.
    while not connection.scalar(_LOCK):
        time.sleep(_PAUSE_SECONDS)


run()
