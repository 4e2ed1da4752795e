"""Endings on real servers."""

from __future__ import annotations

import pytest

from faas.results.endings import Endings


@pytest.fixture
def endings(database, publisher):
    opened = Endings(database, publisher, platform_retries=2)
    yield opened
    opened.close()
