"""The name of the bridge's one task, and what makes its invocations known to both sides."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CALL = "faas.call"
TASK_HEADER = "X-Celery-Task-Id"
_LONGEST_ID = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """What a task asks for. Built in the worker's consumer and in its pool alike: both must ask for the very same."""

    task_id: str
    function: str
    payload: Any
    options: Mapping[str, Any]

    @classmethod
    def of(cls, task_id: str, payload: Any, function: str, options: Mapping[str, Any]) -> Asked:
        """From a task's arguments; the function sees the task's id among its headers."""
        headers = {**(options.get("headers") or {}), TASK_HEADER: task_id}
        return cls(task_id, function, payload, {**options, "headers": headers})

    @property
    def key(self) -> str:
        """The Idempotency-Key. A message that is delivered again finds the invocation that the first delivery made."""
        if len(self.task_id) <= _LONGEST_ID and self.task_id.isascii() and self.task_id.isprintable():
            return f"celery:{self.task_id}"
        return f"celery:{hashlib.sha256(self.task_id.encode()).hexdigest()}"
