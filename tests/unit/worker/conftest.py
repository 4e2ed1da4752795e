"""A worker's parts in this process, on the simple engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import factories
import pytest

from faas import config
from faas.db import functions, workers
from faas.db.functions import Code
from faas.domain import ids
from faas.domain.function import Function, Runtime
from faas.worker.context import Context, open_context


@dataclass
class Bench:
    """A worker's context, and what a test does around it."""

    context: Context

    def deploy(self, code: bytes, **changes: Any) -> Function:
        """A stored function with its code kept; a Go one is left to be built."""
        spec = factories.spec(**changes)
        digest = self.context.storage.put(code)
        artifact = None if spec.runtime is Runtime.GO else digest
        identity = ids.uuid7()
        return functions.create(
            self.context.database, identity, f"f-{identity}", spec, Code(digest, len(code), artifact)
        )

    def submit(self, function: Function, payload: str = "null", **changes: Any) -> str:
        """The id of one more invocation."""
        return factories.invocation(self.context.database, function.id, payload=payload, **changes).id


@pytest.fixture
def open_bench(database_url, redis_url, tmp_path):
    opened = []

    def open_one(**variables: str) -> Bench:
        settings = config.load(
            {
                "DATABASE_URL": database_url,
                "REDIS_URL": redis_url,
                "STORAGE_BASE_DIR": str(tmp_path / "storage"),
                "WORKER_WORK_DIR": str(tmp_path / "work"),
                "WORKER_RUNTIME_TYPE": "simple",
                "WORKER_DISPATCH": "stock",
                "WORKER_STEM_CELLS": "0",
                "PLATFORM_RETRIES": "1",
                **variables,
            }
        )
        context = open_context(settings, 4)
        opened.append(context)
        workers.enrol(context.database, context.incarnation, "w", "simple")
        return Bench(context)

    yield open_one
    for context in opened:
        context.draining.set()
        context.close()


@pytest.fixture
def bench(open_bench):
    return open_bench()
