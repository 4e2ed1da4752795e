"""One platform, scraped by one Prometheus, shared by this folder's tests; each test finds it whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from e2e.cluster import Cluster

from monitoring.prometheus import Prometheus, tool

# Several processes in the controller, that tell of themselves often, and little memory for sandboxes.
SETTINGS = {
    "WEB_CONCURRENCY": "3",
    "METRICS_INTERVAL": "0.5",
    "WORKER_MEMORY_MB": "256",
    "PLATFORM_RETRIES": "0",
}


@pytest.fixture(scope="package")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running platform on the engine `simple`."""
    cluster = Cluster(
        tmp_path_factory.mktemp("watched"), "simple", controllers=1, workers=1, clocks=1, settings=SETTINGS
    )
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="package")
def prometheus(platform: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that scrapes it."""
    tool("prometheus")
    started = Prometheus(tmp_path_factory.mktemp("prometheus"), platform.url().removeprefix("http://"))
    yield started
    started.stop()


@pytest.fixture
def cluster(platform: Cluster) -> Iterator[Cluster]:
    """The platform with all its parts running."""
    platform.settle()
    yield platform
    platform.settle()
    platform.tidy()
