"""`faas db`: the migrations of the database that the environment names."""

from __future__ import annotations

import click

from faas import config


@click.group()
def db() -> None:
    """Bring the database's tables to another revision."""


@db.command()
@click.argument("revision", default="head")
def upgrade(revision: str) -> None:
    """Migrate up to REVISION, the newest where it is left out."""
    from faas.web import migrate

    migrate.upgrade(config.load().database_url, revision)


@db.command()
@click.argument("revision", default="-1")
def downgrade(revision: str) -> None:
    """Migrate down to REVISION ("base" for none), one step where it is left out."""
    from faas.web import migrate

    migrate.downgrade(config.load().database_url, revision)


@db.command()
def current() -> None:
    """Print the revision that the database has."""
    from faas.web import migrate

    migrate.current(config.load().database_url)
