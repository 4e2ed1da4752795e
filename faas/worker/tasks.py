"""The Celery tasks. The first is the platform's one: an invocation's id comes in, what became of it goes to the result hook."""

from __future__ import annotations

from typing import Any

from celery import Celery

from faas.queueing import names
from faas.results.backend import Ended
from faas.worker import builds, execution
from faas.worker.context import current


def register(app: Celery) -> None:
    """Add the tasks to an application."""

    # The positional parameter alone: a message is a hint, and holds an id and nothing else.
    @app.task(name=names.INVOKE, bind=True, Strategy="faas.worker.strategy:strategy")  # type: ignore[untyped-decorator]
    def invoke(self: Any, invocation_id: str) -> Ended | None:
        return execution.run(current(), str(invocation_id), names.reply_channel(self.request.reply_to))

    @app.task(name=names.BUILD, ignore_result=True)  # type: ignore[untyped-decorator]
    def build(function_id: str, number: int) -> Any:
        builds.run(current(), str(function_id), int(number))
