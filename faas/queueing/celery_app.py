"""The Celery application. Importing it connects to nothing."""

from __future__ import annotations

from celery import Celery


def make_app() -> Celery:
    """The application with the settings of `celeryconfig.py`; a worker adds its tasks to it, a publisher needs none."""
    app = Celery("faas", set_as_current=False)
    app.config_from_object("celeryconfig")
    return app
