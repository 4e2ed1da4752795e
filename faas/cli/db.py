"""`faas db`: the migrations of the database that the environment names."""

from __future__ import annotations

import click

from faas.cli.group import Command


@click.group()
def db() -> None:
    """Migrate the database.

    It is the one that DATABASE_URL names."""


@db.command(cls=Command, examples=("faas db upgrade",))
@click.argument("revision", default="head")
def upgrade(revision: str) -> None:
    """Migrate up to REVISION, the newest where it is left out."""
    from faas.web import migrate

    migrate.upgrade(_database(), revision)


@db.command(cls=Command, examples=("faas db downgrade base",))
@click.argument("revision", default="-1")
def downgrade(revision: str) -> None:
    """Migrate down to REVISION ("base" for none), one step where it is left out."""
    from faas.web import migrate

    migrate.downgrade(_database(), revision)


@db.command(cls=Command, examples=("faas db current",))
def current() -> None:
    """Print the revision that the database has."""
    from faas.web import migrate

    migrate.current(_database())


def _database() -> str:
    """The database's URL. Raises DatabaseDown where it does not answer, which the migrations themselves would tell in a hundred lines."""
    from faas import config
    from faas.db.database import Database

    url = config.load().database_url
    database = Database(url, connections=1, name="faas db")
    try:
        with database.begin() as transaction:
            transaction.one("SELECT 1")
    finally:
        database.close()
    return url
