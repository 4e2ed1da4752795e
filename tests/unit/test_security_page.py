"""SECURITY.md promises nothing that no test shows."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def rows() -> list[list[str]]:
    """The table of what is defended against, without its headings."""
    section = (ROOT / "SECURITY.md").read_text().partition("## What is defended against")[2].partition("\n## ")[0]
    lines = [
        line for line in section.splitlines() if line.startswith("| ") and not line.startswith(("| **", "| threat"))
    ]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_threat_names_a_test_that_is_there() -> None:
    assert len(rows()) > 20
    for threat, held_by, shown_by in rows():
        assert held_by
        tests = re.findall(r"`(tests/[^`]+)`", shown_by)
        assert tests or shown_by.startswith("by hand"), threat
        for test in tests:
            assert (ROOT / test).is_file(), f"{threat}: {test}"


def test_its_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\((?!http)([^)#]+)", (ROOT / "SECURITY.md").read_text()):
        assert (ROOT / link).is_file(), link
