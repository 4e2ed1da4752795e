"""A reconciler on real servers, driven by hand."""

from __future__ import annotations

import pytest

from faas.queueing.publisher import connect
from faas.reconciler.loop import Reconciler
from faas.results.endings import Endings


@pytest.fixture
def reconcilers(database, publisher):
    endings = Endings(database, publisher, platform_retries=1)
    yield [Reconciler(database, publisher, endings, lease_s=1.0) for _ in range(2)]
    endings.close()


@pytest.fixture
def reconciler(reconcilers):
    return reconcilers[0]


@pytest.fixture
def client(redis_url):
    opened = connect(redis_url)
    yield opened
    opened.close()
