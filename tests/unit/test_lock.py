"""The locks: every file that pip may take is named by its hash, and whatever setup.cfg asks for is there."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", ".ci/tools.lock")


def pins(lock: str) -> dict[str, str]:
    """The locked packages, each with all that is said of it."""
    text = (ROOT / lock).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {re.split(r"[=\s\[]", line, maxsplit=1)[0].lower(): line for line in lines}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_has_an_exact_version_and_hashes(lock: str) -> None:
    found = pins(lock)
    assert len(found) > 20
    for name, line in found.items():
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z0-9,-]+\])?==[^\s;]+\s", line), (
            f"{name}: add it by `make lock LOCK_ARGS=--keep`"
        )
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", line), (
            f"{name} has no hash: add it by `make lock LOCK_ARGS=--keep`"
        )


def test_all_that_is_asked_for_is_locked() -> None:
    asked = configparser.ConfigParser()
    asked.read(ROOT / "setup.cfg")
    lists = [asked["options"]["install_requires"], *asked["options.extras_require"].values()]
    lines = [line for text in lists for line in text.splitlines() if line and not line.startswith("#")]
    names = {re.split(r"[\[<>=!;\s]", line, maxsplit=1)[0].lower().replace("_", "-") for line in lines}
    assert len(names) > 20
    assert names <= pins("requirements.lock").keys()


def test_what_is_built_is_installed_by_hash_alone() -> None:
    for script in (".ci/venv", ".ci/tools"):
        installs = [
            line for line in (ROOT / script).read_text().splitlines() if "pip install" in line and "-r " in line
        ]
        assert installs
        assert all("--require-hashes" in line for line in installs)
