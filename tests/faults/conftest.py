"""One platform for each engine, shared by this folder's tests; each test finds it whole and quiet."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.cluster import eventually

from faults import dockerd, history
from faults.platform import Platform


@pytest.fixture(scope="package")
def simple(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A running platform on the engine `simple`."""
    yield from _running(Platform(tmp_path_factory.mktemp("faults"), "simple"))


@pytest.fixture(scope="package")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A running platform on the engine `container`; on a Docker daemon of its own, where that can be."""
    platform = Platform(tmp_path_factory.mktemp("faults"), "container")
    # Not below pytest's folder: its path is too long for a socket's.
    folder = Path(tempfile.mkdtemp(prefix="faas-dockerd-"))
    if started := dockerd.start(folder):
        platform.use_daemon(*started)
    yield from _running(platform)


@pytest.fixture
def cluster(simple: Platform) -> Iterator[Platform]:
    """The platform on the engine `simple`, with all its parts running, nothing in its queue, and an empty history."""
    yield from _quiet(simple)


@pytest.fixture
def in_containers(container: Platform) -> Iterator[Platform]:
    """The same on the engine `container`."""
    yield from _quiet(container)


def _running(platform: Platform) -> Iterator[Platform]:
    try:
        platform.start()
        yield platform
    finally:
        platform.stop()
    eventually(lambda: not platform.processes(), "no process is left", 30)


def _quiet(platform: Platform) -> Iterator[Platform]:
    platform.settle()
    history.forget(platform)
    yield platform
    for link in platform.links.values():
        link.heal()
    platform.settle()
    platform.tidy()
