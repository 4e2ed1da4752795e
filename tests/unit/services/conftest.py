"""The services on real servers and a folder."""

from __future__ import annotations

import pytest

from faas import config
from faas.queueing.publisher import connect
from faas.results.endings import Endings
from faas.services import Services


@pytest.fixture
def settings(database_url, redis_url, tmp_path):
    return config.load(
        {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "STORAGE_BASE_DIR": str(tmp_path / "storage")}
    )


@pytest.fixture
def services(settings):
    opened = Services.open(settings)
    yield opened
    opened.close()


@pytest.fixture
def client(redis_url):
    opened = connect(redis_url)
    yield opened
    opened.close()


@pytest.fixture
def endings(database, publisher):
    opened = Endings(database, publisher, platform_retries=0)
    yield opened
    opened.close()
