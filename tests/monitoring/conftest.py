"""One platform, scraped by one Prometheus, shared by this folder's tests; each test finds it whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from e2e.cluster import Cluster

from monitoring.prometheus import Prometheus, tool


class Watched(Cluster):
    """A platform with several processes in its controller, that tell of themselves often, and with little memory for sandboxes."""

    def environment(self) -> dict[str, str]:
        """See `Cluster.environment`."""
        return {
            **super().environment(),
            "WEB_CONCURRENCY": "3",
            "METRICS_INTERVAL": "0.5",
            "WORKER_MEMORY_MB": "256",
            "PLATFORM_RETRIES": "0",
        }


@pytest.fixture(scope="package")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A running platform on the engine `simple`."""
    cluster = Watched(tmp_path_factory.mktemp("watched"), "simple", controllers=1, workers=1, clocks=1)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="package")
def prometheus(platform: Watched, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that scrapes it."""
    tool("prometheus")
    started = Prometheus(tmp_path_factory.mktemp("prometheus"), platform.url().removeprefix("http://"))
    yield started
    started.stop()


@pytest.fixture
def cluster(platform: Watched) -> Iterator[Watched]:
    """The platform with all its parts running."""
    platform.settle()
    yield platform
    platform.settle()
    platform.tidy()
