"""A self-hosted Functions-as-a-Service platform: Flask in front, Celery between, Docker around the code, PostgreSQL as the truth."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`app`, which `celery -A faas worker` looks for: the worker's Celery application, imported when asked for and not before."""
    if name == "app":
        from faas.worker import app

        return app
    raise AttributeError(name)
