"""The Procfile, as hosts of its kind run it: a release, then web, worker and clock, told by PORT, DATABASE_URL and REDIS_URL alone."""

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
    """PostgreSQL and Redis alone, with empty tables' place."""
    cluster = Cluster(tmp_path, "simple")
    try:
        cluster.start_servers()
        yield cluster
    finally:
        cluster.stop()
    assert not cluster.processes()


def test_honcho_runs_the_procfile(servers: Cluster, tmp_path: Path) -> None:
    port = free_port()
    # Its logs say when they were written; the port that honcho gives to the first of the processes is the one that it was given.
    environment = {
        **servers.environment(),
        "DATABASE_URL": servers.database_url.replace("postgresql://", "postgres://"),
        "PORT": f"{port}",
        "PYTHONPATH": f"{ROOT}",
    }
    # Started where nothing of the checkout is found by chance but by what the host gives.
    shutil.copy(ROOT / "Procfile", tmp_path / "run" / "Procfile")
    honcho = (sys.executable, "-m", "honcho", "start")
    release = subprocess.run(
        (*honcho, "release"),
        env=environment,
        cwd=tmp_path / "run",
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
    assert release.returncode == 0, release.stdout + release.stderr
    assert servers.sql("SELECT count(*) FROM functions") == [(0,)]
    with (tmp_path / "logs" / "honcho.log").open("wb") as log:
        process = subprocess.Popen(
            (*honcho, "web", "worker", "clock"),
            env=environment,
            cwd=tmp_path / "run",
            stdout=log,
            stderr=log,
            start_new_session=True,
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
