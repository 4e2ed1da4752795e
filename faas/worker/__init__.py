"""The worker: `celery -A faas worker`. This module is its composition root; importing it connects to nothing."""

from __future__ import annotations

from faas import config
from faas.queueing.celery_app import make_app
from faas.worker import lifecycle, tasks

# A value that can't be right is told at the start, before Celery reads its configuration.
config.load()
app = make_app()
tasks.register(app)
lifecycle.connect()

__all__ = ["app"]
