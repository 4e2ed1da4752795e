"""Functions as steps of any Celery application's workflows.

    from celery import chord
    from faas.celery import function

    chord([function("score", {"user": 7}), function("render-card", {"user": 7})], publish.s()).delay()

`function` makes an ordinary signature of the task `faas.call`, which importing this module adds to every application of the process. The application's
own worker has the invocation accepted by the platform and, when it has ended, ends the task: with the application's own result backend, callbacks,
error callbacks, chains and chords. No slot of the worker is taken while the function runs (docs/decisions/0010-celery-bridge.md).
"""

from __future__ import annotations

from faas.celery.signatures import function
from faas.celery.tasks import call
from faas.client.errors import Cancelled, FunctionRaised, InvocationFailed, PlatformFailed, TimedOut

__all__ = ["Cancelled", "FunctionRaised", "InvocationFailed", "PlatformFailed", "TimedOut", "call", "function"]
