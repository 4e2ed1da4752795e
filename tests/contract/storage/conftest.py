"""The storages under test: a folder, and a bucket of an S3 server that runs as a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from faas.config import load
from faas.storage import Storage, open_storage

BUCKET = "faas-packages"


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an S3 server."""
    # A file and not a pipe: it logs every request, and nobody would read them.
    log = tmp_path_factory.mktemp("s3") / "log"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as server:
        try:
            yield _address(log, server)
        finally:
            server.kill()


def _address(log: Path, server: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and server.poll() is None:
        found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
        if found:
            return found[0]
        time.sleep(0.05)
    raise AssertionError(f"the S3 server did not start: {log.read_text()}")


@pytest.fixture
def s3_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials by boto3's own variables."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def s3_environ(s3_server: str, s3_credentials: None) -> dict[str, str]:
    """The variables of a storage in a bucket that is there."""
    client = boto3.session.Session().client("s3", endpoint_url=s3_server, region_name="us-east-1")
    client.create_bucket(Bucket=BUCKET)
    client.close()
    return {
        "STORAGE_TYPE": "s3",
        "STORAGE_S3_BUCKET": BUCKET,
        "STORAGE_S3_ENDPOINT_URL": s3_server,
        "STORAGE_S3_PREFIX": f"run-{uuid.uuid4().hex}/code/",
    }


@pytest.fixture(params=["local", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    """An empty storage of each type."""
    environ = {"STORAGE_TYPE": "local", "STORAGE_BASE_DIR": str(tmp_path / "packages")}
    if request.param == "s3":
        environ = request.getfixturevalue("s3_environ")
    storage = open_storage(load(environ))
    yield storage
    storage.close()
