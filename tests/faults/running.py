"""A platform to break, from its start to its end."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from e2e.cluster import eventually

from faults import dockerd
from faults.platform import Platform


@contextlib.contextmanager
def running(root: Path, engine: str, make: Callable[[Path, str], Platform] = Platform) -> Iterator[Platform]:
    """A running platform; with the engine `container`, on a Docker daemon of its own where that can be. At its end no process is left.

    Args:
        root: an empty folder for everything.
        make: makes it.
    """
    platform = make(root, engine)
    try:
        if engine == "container":
            # Not below `root`: its path may be too long for a socket's.
            folder = Path(tempfile.mkdtemp(prefix="faas-dockerd-"))
            if started := dockerd.start(folder):
                platform.use_daemon(*started)
        platform.start()
        yield platform
    finally:
        platform.stop()
    eventually(lambda: not platform.processes(), "no process is left", 30)
