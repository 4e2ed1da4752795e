"""What the tests across layers share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from faas.db.database import Database
from faas.queueing.publisher import Publisher
from faas.results.endings import Endings


@pytest.fixture
def endings(database: Database, publisher: Publisher) -> Iterator[Endings]:
    """Endings that try a failure of the platform again three times."""
    opened = Endings(database, publisher, platform_retries=3)
    yield opened
    opened.close()


@pytest.fixture
def at_once() -> Callable[..., list[Any]]:
    """Runs functions in threads of their own at the same time; their results in order, an exception in place of the result."""

    def run(*actions: Callable[[], Any]) -> list[Any]:
        with ThreadPoolExecutor(len(actions)) as pool:
            futures = [pool.submit(action) for action in actions]
            return [future.exception(120) or future.result() for future in futures]

    return run
