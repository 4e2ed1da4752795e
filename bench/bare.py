"""The reference: a bare Celery application, as one would write it on the first day. Stock settings; Redis as broker and as result backend."""

from __future__ import annotations

from typing import Any

from celery import Celery

ECHO, NO_OP = "bare.echo", "bare.no_op"
# PERFORMANCE's table was taken with as many.
THREADS = 8


def make_app(redis_url: str) -> Celery:
    """The application."""
    app = Celery("bare", broker=redis_url, backend=redis_url, set_as_current=False)

    app.task(_echo, name=ECHO)
    # Without a result: what is cheaper for Celery is the harder reference.
    app.task(_no_op, name=NO_OP, ignore_result=True)
    return app


def _echo(payload: Any) -> Any:
    return payload


def _no_op() -> None:
    return None
