"""The result hook: a Celery result backend over the invocations table. In a worker it writes, elsewhere it reads.

    result_backend = "faas+postgresql://user:password@host/name"

So `AsyncResult(invocation_id).get()` works from any Celery application that has this package installed: it returns the function's result,
or raises `InvocationFailed`, or `InvocationCancelled`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from celery import states
from celery.backends.base import BaseBackend

from faas.db import invocations
from faas.db.database import Database
from faas.domain.invocation import Claim, Invocation, Status
from faas.domain.outcome import Outcome
from faas.errors import InvocationCancelled, InvocationFailed, NotFound
from faas.results.endings import Endings

log = logging.getLogger("faas.results")

STATES = {
    Status.QUEUED: states.PENDING,
    Status.RUNNING: states.STARTED,
    Status.SUCCEEDED: states.SUCCESS,
    Status.FAILED: states.FAILURE,
    Status.TIMED_OUT: states.FAILURE,
    Status.CANCELLED: states.REVOKED,
}

_lock = threading.Lock()
_databases: dict[str, Database] = {}
_endings: Endings | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """What the task `faas.invoke` returns: the claim under which it ran, what became of it, where it is waited for, and who is told when it is written
    (or can't be)."""

    claim: Claim
    outcome: Outcome
    reply_to: str | None = None
    written: Callable[[], None] = lambda: None


def write_with(endings: Endings | None) -> None:
    """Name the process's `Endings`: a worker's composition root does, so that all of its backends (Celery makes one for each thread) write by it."""
    global _endings
    _endings = endings


class ResultBackend(BaseBackend):  # type: ignore[misc]
    """See the module."""

    supports_autoexpire = True

    def __init__(self, app: Any, url: str = "", **options: Any) -> None:
        super().__init__(app, url=url, **options)
        self._address = url

    def store_result(self, task_id: str, result: Any, state: str, *_: Any, **__: Any) -> Any:
        """Write what `faas.invoke` returned. Anything else that is stored here has no row, and leaves none."""
        if isinstance(result, Ended):
            if _endings is None:
                raise RuntimeError("this process ends no invocations: it is no worker of the platform")
            try:
                _endings.end(result.claim, result.outcome, result.reply_to)
            finally:
                result.written()
        elif isinstance(result, BaseException):
            log.error("the task %s ended %s: %r", task_id, state, result)
        return None

    def get_task_meta(self, task_id: str, cache: bool = True) -> dict[str, Any]:
        """Celery's view of an invocation; an unknown id is pending, as with every Celery backend."""
        if cache and task_id in self._cache:
            return dict(self._cache[task_id])
        try:
            meta = _meta(invocations.get(_database(self._address), task_id))
        except NotFound:
            return {"task_id": task_id, "status": states.PENDING, "result": None}
        if cache and meta["status"] in states.READY_STATES:
            self._cache[task_id] = meta
        return meta

    def __reduce__(self, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        return super().__reduce__(args, {**(kwargs or {}), "url": self._address})


def _database(address: str) -> Database:
    with _lock:
        if address not in _databases:
            _databases[address] = Database(address, connections=4, name="faas-results")
        return _databases[address]


def _meta(record: Invocation) -> dict[str, Any]:
    result: Any = record.result
    if record.status is Status.CANCELLED:
        result = InvocationCancelled(f"The invocation {record.id} was cancelled.")
    elif record.error is not None:
        result = InvocationFailed(record.error["type"], record.error["message"], record.error["stack_trace"])
    trace = "\n".join(record.error["stack_trace"]) if record.error else None
    return {
        "task_id": record.id,
        "status": STATES[record.status],
        "result": result,
        "traceback": trace,
        "children": [],
        "date_done": record.finished_at,
    }
