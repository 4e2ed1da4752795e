"""The short form of `make bench`: every row gets a number, whatever the number is worth on a busy machine."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from bench.catalogue import ROWS

_SECONDS = 600


@pytest.mark.container
@pytest.mark.slow
@pytest.mark.timeout(_SECONDS + 60)
def test_the_short_form_fills_every_row(tmp_path: Path) -> None:
    output = tmp_path / "results" / "short.json"
    command = [sys.executable, "-m", "bench", "--short", "--verbose", "--output", f"{output}"]
    root = Path(__file__).parents[3]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(output.read_text())
    assert set(document) == {"machine", "versions", "measures"}
    assert {"python", "celery", "postgresql", "redis-server"} <= set(document["versions"])
    assert [entry["id"] for entry in document["measures"]] == [row.id for row in ROWS]
    for entry, row in zip(document["measures"], ROWS, strict=True):
        figures = [entry["value"], *entry["spread"]] + ([entry["reference"], entry["ratio"]] if row.reference else [])
        assert all(isinstance(figure, int | float) and math.isfinite(figure) and figure > 0 for figure in figures), (
            entry
        )
        assert (entry["must"], entry["aim"]) == (row.must, row.aim)
        assert entry["holds"] in (True, False, None)
        assert row.id in done.stdout


def test_a_name_that_no_row_has_is_refused() -> None:
    root = Path(__file__).parents[3]
    command = [sys.executable, "-m", "bench", "luke-warm"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "there is no measure luke-warm" in done.stderr
