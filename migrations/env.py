"""Alembic's environment: online only, in one transaction, under a lock so that two deploys at once are one."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine, pool, text

from faas.db.tables import metadata


def run() -> None:
    """Run the migrations on the database that the configuration names."""
    url = context.config.attributes["url"]
    engine = create_engine(url, poolclass=pool.NullPool)
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(7041775)"))
        context.configure(
            connection=connection,
            target_metadata=metadata,
            # The monthly partitions are made by the platform, not by migrations.
            include_name=lambda name, kind, _parents: kind != "table" or name in metadata.tables,
        )
        context.run_migrations()
    engine.dispose()


run()
