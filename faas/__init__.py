"""A self-hosted Functions-as-a-Service platform: Flask in front, Celery between, Docker around the code, PostgreSQL as the truth."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`app`, which `celery -A faas worker` looks for: the worker's Celery application, imported when asked for and not before."""
    if name == "app":
        from faas.errors import ConfigError

        try:
            from faas.worker import app
        except ConfigError as error:
            # One line for a person at a terminal; Celery would print the whole stack.
            raise SystemExit(f"faas worker: {error}") from None
        return app
    raise AttributeError(name)
