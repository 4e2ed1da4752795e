"""Debian's Prometheus, which `make test` fetches: scraping for a test, and its tool."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from e2e.cluster import START_SECONDS, eventually

from faas.embedded.ports import LOOPBACK, free_port
from faas.embedded.process import Child, Program

DOCS = Path(__file__).parents[2] / "docs" / "monitoring"
# Where `.ci/prepare` unpacks the package.
_FETCHED = Path(sys.prefix) / "prometheus" / "usr" / "bin"
# What takes minutes in the rules takes seconds here. Windows must hold several scrapes of a busy machine.
_WINDOW, _SCRAPE = "15s", "500ms"
_THRESHOLDS = {
    "faas_queue_oldest_seconds > 300": "faas_queue_oldest_seconds > 2",
    "lag_seconds > 120": "lag_seconds > 8",
}


def tool(name: str) -> str:
    """The path of `prometheus` or `promtool`; the test is skipped where it is not there."""
    found = shutil.which(name) or shutil.which(name, path=str(_FETCHED))
    if found is None:
        pytest.skip(f"needs {name} (Debian, Ubuntu: apt-get install prometheus)")
    return found


def promtool(*arguments: str, stdin: str | None = None) -> str:
    """What `promtool` says; it must agree."""
    done = subprocess.run(
        [tool("promtool"), *arguments], input=stdin, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def hurried(rules: str) -> str:
    """The rules with windows, patience and thresholds of seconds."""
    rules = re.sub(r"for: \d+m", "for: 1s", rules)
    rules = re.sub(r"\[\d+m\]", f"[{_WINDOW}]", rules)
    for long, short in _THRESHOLDS.items():
        assert long in rules
        rules = rules.replace(long, short)
    return rules


class Prometheus:
    """A Prometheus that scrapes one address, with the alerts in a hurry.

    Args:
        folder: for everything that it writes.
        target: `host:port`.
    """

    def __init__(self, folder: Path, target: str) -> None:
        config = (DOCS / "prometheus.yml").read_text()
        config = config.replace("localhost:8080", target).replace("15s", _SCRAPE)
        (folder / "prometheus.yml").write_text(config)
        (folder / "alerts.yml").write_text(hurried((DOCS / "alerts.yml").read_text()))
        address = f"{LOOPBACK}:{free_port()}"
        self.url = f"http://{address}"
        words = (
            tool("prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
        )
        environment = {"PATH": os.environ.get("PATH", os.defpath)}
        self._child = Child(
            Program("prometheus", words, environment, folder / "prometheus.log", folder, ready=self._is_ready)
        )
        self._child.wait_ready(START_SECONDS)

    def stop(self) -> None:
        """End it."""
        self._child.stop()

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an expression, which must be right."""
        answer = requests.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=30)
        assert answer.status_code == 200, (expression, answer.text)
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found

    def value(self, expression: str) -> float | None:
        """The only value of an expression; None where there is none."""
        found = self.query(expression)
        return float(found[0]["value"][1]) if found else None

    def await_alerts(self, *names: str, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Wait until all these alerts fire at the same time.

        Args:
            meanwhile: what is to go on until then.
        """

        def fired() -> bool:
            meanwhile()
            answer = requests.get(f"{self.url}/api/v1/alerts", timeout=30).json()
            alerts = [one for one in answer["data"]["alerts"] if one["state"] == "firing"]
            return set(names) <= {one["labels"]["alertname"] for one in alerts}

        eventually(fired, f"{', '.join(names)} fire")

    def _is_ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/-/ready", timeout=10).status_code == 200
        except requests.RequestException:
            return False
