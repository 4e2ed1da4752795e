"""One platform for each engine, shared by this folder's tests; each test finds it whole and quiet."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from faults import history
from faults.platform import Platform
from faults.running import running


@pytest.fixture(scope="package")
def simple(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A running platform on the engine `simple`."""
    with running(tmp_path_factory.mktemp("faults"), "simple") as platform:
        yield platform


@pytest.fixture(scope="package")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A running platform on the engine `container`."""
    with running(tmp_path_factory.mktemp("faults"), "container") as platform:
        yield platform


@pytest.fixture
def cluster(simple: Platform) -> Iterator[Platform]:
    """The platform on the engine `simple`, with all its parts running, nothing in its queue, and an empty history."""
    yield from _quiet(simple)


@pytest.fixture
def in_containers(container: Platform) -> Iterator[Platform]:
    """The same on the engine `container`."""
    yield from _quiet(container)


def _quiet(platform: Platform) -> Iterator[Platform]:
    platform.settle()
    history.forget(platform)
    yield platform
    for link in platform.links.values():
        link.heal()
    platform.settle()
    platform.tidy()
