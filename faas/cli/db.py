"""`faas db`: the migrations of the database that the environment names."""

from __future__ import annotations

import click

from faas.cli import output
from faas.cli.context import App, json_option, pass_app
from faas.cli.group import Command


@click.group()
def db() -> None:
    """Migrate the database.

    It is the one that DATABASE_URL names."""


@db.command(cls=Command, examples=("faas db upgrade",))
@click.argument("revision", default="head")
@json_option
@pass_app
def upgrade(app: App, revision: str) -> None:
    """Migrate up to REVISION, the newest where it is left out."""
    from faas.web import migrate

    url = _database()
    migrate.upgrade(url, revision)
    if app.json:
        _show(url)


@db.command(cls=Command, examples=("faas db downgrade base",))
@click.argument("revision", default="-1")
@json_option
@pass_app
def downgrade(app: App, revision: str) -> None:
    """Migrate down to REVISION ("base" for none), one step where it is left out."""
    from faas.web import migrate

    url = _database()
    migrate.downgrade(url, revision)
    if app.json:
        _show(url)


@db.command(cls=Command, examples=("faas db current",))
@json_option
@pass_app
def current(app: App) -> None:
    """Print the revision that the database has."""
    from faas.web import migrate

    url = _database()
    if app.json:
        _show(url)
    else:
        migrate.current(url)


def _show(url: str) -> None:
    """The revision that the database has; null for none."""
    from faas.web import migrate

    output.show_json({"revision": migrate.revision(url)})


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
