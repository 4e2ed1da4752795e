"""Where Node.js and Go are found."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from faas.sandbox import toolchain


def program(folder: Path, name: str, says: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def test_node_on_path_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = program(tmp_path, "node", "v20.1.0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert toolchain.node() == made


@pytest.mark.parametrize("says", ["v18.19.0", "what?", ""])
def test_an_old_or_strange_node_gives_way_to_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str
) -> None:
    program(tmp_path, "node", says)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = toolchain.node()
    assert found.parent != tmp_path
    assert os.access(found, os.X_OK)


def test_a_go_toolchain_is_found_and_works(monkeypatch: pytest.MonkeyPatch) -> None:
    found = toolchain.go()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "GOCACHE": "off",
        **({"GOROOT": str(found.root)} if found.root else {}),
    }
    answer = subprocess.run([found.program, "version"], capture_output=True, text=True, check=True, env=environment)
    assert answer.stdout.startswith("go version go1.")
