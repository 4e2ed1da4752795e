"""Migrations through Flask-Migrate. The application that it needs has nothing but the tables: no service connects."""

from __future__ import annotations

from pathlib import Path

import flask_migrate
from alembic.runtime.migration import MigrationContext
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from faas.db.tables import metadata

FOLDER = Path(__file__).resolve().parent.parent.parent / "migrations"


def migration_app(database_url: str) -> Flask:
    """A Flask application that Flask-Migrate can work on."""
    app = Flask("faas.migrations")
    app.config["SQLALCHEMY_DATABASE_URI"] = database_url.replace("postgresql://", "postgresql+psycopg2://", 1)
    database = SQLAlchemy(metadata=metadata)
    database.init_app(app)
    migrate = flask_migrate.Migrate(app, database, directory=str(FOLDER))

    @migrate.configure  # type: ignore[untyped-decorator]
    def give_url(config: flask_migrate.Config) -> flask_migrate.Config:
        config.attributes["url"] = app.config["SQLALCHEMY_DATABASE_URI"]
        return config

    return app


def upgrade(database_url: str, revision: str = "head") -> None:
    """Bring the tables up to a revision."""
    with migration_app(database_url).app_context():
        flask_migrate.upgrade(revision=revision)


def downgrade(database_url: str, revision: str) -> None:
    """Bring the tables down to a revision (`base` for none)."""
    with migration_app(database_url).app_context():
        flask_migrate.downgrade(revision=revision)


def current(database_url: str) -> None:
    """Print the revision that the database has."""
    with migration_app(database_url).app_context():
        flask_migrate.current()


def revision(database_url: str) -> str | None:
    """The revision that the database has; None before the first."""
    with migration_app(database_url).app_context():
        engine = flask_migrate.current_app.extensions["migrate"].db.engine
        with engine.connect() as connection:
            found: str | None = MigrationContext.configure(connection).get_current_revision()
        engine.dispose()
    return found
