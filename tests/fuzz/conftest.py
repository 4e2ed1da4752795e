"""A controller as it is run, over a PostgreSQL and a Redis of its own, with a key that may do everything."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from factories import administer

from faas.embedded.ports import LOOPBACK, free_port
from faas.embedded.process import Child, Program
from faas.services.vault import new_key

START_SECONDS = 90.0


@pytest.fixture(scope="package")
def api(servers: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[requests.Session]:
    """Calls with the key; `base_url` says where. No worker runs: what is accepted stays queued, so answers are the same each time.

    It ends with the package: a controller that lives tells every few seconds of itself in the Redis that it shares with the tests after it.
    """
    administer(servers[0], "CREATE DATABASE fuzzed TEMPLATE faas")
    folder = tmp_path_factory.mktemp("api")
    session = Api(f"http://{LOOPBACK}:{free_port()}")
    child = Child(_controller(session, servers, folder))
    try:
        _wait(session, child, folder / "log")
        session.take_key()
        yield session
    finally:
        session.close()
        child.stop()
        administer(servers[0], "DROP DATABASE fuzzed WITH (FORCE)")


class Api(requests.Session):
    """A session with the controller."""

    def __init__(self, base_url: str) -> None:
        super().__init__()
        self.base_url = base_url

    def take_key(self) -> None:
        """Make a key that may do everything, and send it from now on."""
        made = self.post(f"{self.base_url}/keys", json={"name": "fuzz", "scopes": ["admin"]}, timeout=START_SECONDS)
        assert made.status_code == 201, made.text
        self.headers["Authorization"] = f"Bearer {made.json()['key']}"


def _controller(session: Api, servers: tuple[str, str], folder: Path) -> Program:
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "DATABASE_URL": servers[0].rpartition("/")[0] + "/fuzzed",
        "REDIS_URL": servers[1],
        "STORAGE_BASE_DIR": f"{folder / 'functions'}",
        "SERVER_ADDR": session.base_url.removeprefix("http://"),
        "WEB_CONCURRENCY": "1",
        "FAAS_SECRETS_KEY": new_key(),
    }
    argv = (sys.executable, "-m", "gunicorn", "-c", "python:faas.web.gunicorn", "faas.web:create_app()")
    return Program("controller", argv, environment, folder / "log", folder)


def _wait(session: Api, child: Child, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            assert session.get(f"{session.base_url}/health/live", timeout=10).status_code == 200
            return
        except requests.RequestException:
            assert child.status is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
