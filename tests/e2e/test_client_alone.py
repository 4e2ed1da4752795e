"""`pip install faas-platform` without extras: the client and its commands work, and the server's say what to install."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 120


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for `PYTHONPATH` with the packages that everybody gets, and nothing else: those of the lock, linked, so that nothing is fetched."""
    folder = tmp_path_factory.mktemp("alone")
    required = subprocess.run(
        [sys.executable, "-c", _CLOSURE], capture_output=True, text=True, check=True, timeout=PATIENCE
    ).stdout.split()
    for path in required:
        (folder / Path(path).name).symlink_to(path)
    (folder / "faas").symlink_to(ROOT / "faas")
    return folder


# The top folders and modules of what setup.cfg's install_requires name, and of what they need in turn.
_CLOSURE = """
import importlib.metadata as m, re
seen, todo = set(), ["faas-platform"]
while todo:
    name = re.sub(r"[-_.]+", "-", todo.pop()).lower()
    if name in seen:
        continue
    seen.add(name)
    try:
        found = m.distribution(name)
    except m.PackageNotFoundError:
        continue
    todo += [re.match(r"[A-Za-z0-9._-]+", one).group() for one in found.requires or () if "extra ==" not in one]
    if name != "faas-platform":
        tops = {file.parts[0] for file in found.files or () if ".." not in file.parts and file.parts[0] != "__pycache__"}
        print(*(found.locate_file(top) for top in sorted(tops)), sep="\\n")
"""


def faas(alone: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command, by an interpreter that sees only this folder and the standard library."""
    return subprocess.run(
        [sys.executable, "-S", "-P", "-m", "faas.cli", *words],
        env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(alone), "HOME": str(alone.parent)},
        cwd=alone.parent,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


@pytest.mark.parametrize(
    "words",
    [
        ("dev",),
        ("demo",),
        ("clock",),
        ("doctor",),
        ("db", "current"),
        ("keys", "create", "x", "--scope", "admin", "--local"),
    ],
)
def test_a_servers_command_says_what_to_install(alone: Path, words: tuple[str, ...]) -> None:
    ended = faas(alone, *words)
    assert ended.returncode == 1, ended
    assert re.match(r"faas: This command needs the Python package \w+, which is not installed\.\n", ended.stderr), ended
    assert 'pip install "faas-platform[server]"' in ended.stderr
    assert "Traceback" not in ended.stderr


def test_help_and_commands_of_the_client_need_no_more(alone: Path) -> None:
    assert faas(alone, "--help").returncode == 0
    ended = faas(alone, "ls", "--url", "http://127.0.0.1:9")
    assert ended.returncode == 4, ended
    assert "can't reach" in ended.stderr
