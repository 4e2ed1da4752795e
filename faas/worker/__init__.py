"""The worker: `celery -A faas worker`. This module is its composition root; importing it connects to nothing."""

from __future__ import annotations

from faas.queueing.celery_app import make_app
from faas.worker import lifecycle, tasks

app = make_app()
tasks.register(app)
lifecycle.connect()

__all__ = ["app"]
