"""One cluster for each engine, shared by this folder's tests; each test finds it whole, whatever the one before has killed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.cluster import Cluster, eventually


@pytest.fixture(scope="package", params=["simple", pytest.param("container", marks=pytest.mark.container)])
def platform(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running platform. At its end nothing of it may be left."""
    cluster = Cluster(tmp_path_factory.mktemp(request.param), request.param)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
    eventually(lambda: not cluster.processes(), "no process is left", 20)
    assert cluster.sandbox_owners() == set()


@pytest.fixture
def cluster(platform: Cluster) -> Iterator[Cluster]:
    """The platform with all its parts running, and nothing in its queue."""
    platform.settle()
    yield platform
    platform.settle()
    platform.tidy()
