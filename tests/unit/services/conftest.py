"""The services on real servers and a folder."""

from __future__ import annotations

import pytest

from faas import config
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
