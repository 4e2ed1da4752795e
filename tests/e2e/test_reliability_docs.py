"""The examples of docs/reliability.md, run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.cluster import WITH_ONE_ENGINE, Cluster

pytestmark = [pytest.mark.timeout(400), WITH_ONE_ENGINE]
PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"


def test_the_examples_run_one_after_another(cluster: Cluster, tmp_path: Path) -> None:
    examples = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(examples) >= 8
    script = tmp_path / "examples.py"
    script.write_text("\n".join(examples) + "\nclient.functions.delete(name)\nclient.close()\n")
    environment = {**cluster.environment(), "FAAS_URL": cluster.url()}
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
