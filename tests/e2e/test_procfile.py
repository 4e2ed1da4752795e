"""The Procfile, as hosts of its kind run it: release, web, worker and clock, told by PORT, DATABASE_URL and REDIS_URL alone."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from e2e.cluster import PATIENCE, START_SECONDS, Cluster, eventually
from faas.embedded.ports import LOOPBACK, free_port

pytestmark = pytest.mark.timeout(400)

ROOT = Path(__file__).resolve().parents[2]
CODE = base64.b64encode(b"def handler(event, context):\n    return {'hello': event}\n").decode()


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Cluster]:
    """PostgreSQL, without any tables, and Redis alone."""
    cluster = Cluster(tmp_path, "simple")
    try:
        cluster.start_servers()
        yield cluster
    finally:
        cluster.stop()
    assert not cluster.processes()


def test_honcho_runs_the_procfile(servers: Cluster, tmp_path: Path) -> None:
    port = free_port()
    environment = {
        **servers.environment(),
        "DATABASE_URL": servers.database_url.replace("postgresql://", "postgres://"),
        # honcho gives it to the first process of the Procfile, which is `web`.
        "PORT": f"{port}",
        "PYTHONPATH": f"{ROOT}",
        "PYTHONUNBUFFERED": "1",
    }
    shutil.copy(ROOT / "Procfile", tmp_path / "run" / "Procfile")
    honcho = (sys.executable, "-m", "honcho", "start")
    with (tmp_path / "logs" / "honcho.log").open("wb") as log:
        process = subprocess.Popen(
            honcho, env=environment, cwd=tmp_path / "run", stdout=log, stderr=log, start_new_session=True
        )
        try:
            base = f"http://{LOOPBACK}:{port}"
            eventually(lambda: process.poll() is not None or _status(base) == 200, "it is healthy", START_SECONDS)
            assert process.poll() is None, (tmp_path / "logs" / "honcho.log").read_text()
            function = {"name": "greet", "runtime": "python", "handler": "main.handler", "code": CODE}
            assert requests.post(f"{base}/functions", json=function, timeout=PATIENCE).status_code == 201
            answer = requests.post(
                f"{base}/invoke",
                json={"function_id": "greet", "payload": "you"},
                headers={"Prefer": "wait=60"},
                timeout=PATIENCE,
            )
            assert (answer.status_code, answer.json()["result"]) == (200, {"hello": "you"})
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    assert servers.sql("SELECT count(*) FROM workers") == [(0,)]
    assert servers.sandbox_owners() == set()


def _status(base: str) -> int:
    try:
        return requests.get(f"{base}/health", timeout=10).status_code
    except requests.RequestException:
        return 0
