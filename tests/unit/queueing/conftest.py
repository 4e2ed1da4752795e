"""What the tests of queueing share."""

from __future__ import annotations

import pytest

from faas.queueing.publisher import connect


@pytest.fixture
def client(redis_url):
    opened = connect(redis_url)
    yield opened
    opened.close()
