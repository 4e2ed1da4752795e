"""No error of S3's library gets through: every one is a StorageError (or a ConfigError at the start)."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Callable

import boto3
import pytest

from faas.config import load
from faas.errors import ConfigError, StorageError
from faas.storage import Storage, open_storage

DATA = b"package"
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()
CALLS: dict[str, Callable[[Storage], object]] = {
    "put": lambda storage: storage.put(DATA),
    "get": lambda storage: storage.get(DIGEST),
    "exists": lambda storage: storage.exists(DIGEST),
    "delete": lambda storage: storage.delete(DIGEST),
    "check": lambda storage: storage.check(),
}
call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())


def fails(environ: dict[str, str], call: Callable[[Storage], object]) -> None:
    storage = open_storage(load(environ))
    try:
        with pytest.raises(StorageError):
            call(storage)
    finally:
        storage.close()


@call
def test_a_bucket_that_is_not_there(s3_environ: dict[str, str], call: Callable[[Storage], object]) -> None:
    fails(s3_environ | {"STORAGE_S3_BUCKET": "no-such-bucket"}, call)


@call
def test_a_server_that_is_not_there(s3_credentials: None, call: Callable[[Storage], object]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and nobody listens
        fails(
            {
                "STORAGE_TYPE": "s3",
                "STORAGE_S3_BUCKET": "b",
                "STORAGE_S3_ENDPOINT_URL": f"http://127.0.0.1:{unused.getsockname()[1]}",
            },
            call,
        )


def test_no_credentials(s3_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    fails(s3_environ, CALLS["check"])


def test_a_body_that_breaks_off(s3_credentials: None) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nETag: x\r\n\r\nonly this"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        fails({"STORAGE_TYPE": "s3", "STORAGE_S3_BUCKET": "b", "STORAGE_S3_ENDPOINT_URL": address}, CALLS["get"])
        thread.join()


def test_bytes_that_were_changed_behind_its_back(s3_environ: dict[str, str]) -> None:
    storage = open_storage(load(s3_environ))
    storage.put(DATA)
    client = boto3.session.Session().client(
        "s3", endpoint_url=s3_environ["STORAGE_S3_ENDPOINT_URL"], region_name="us-east-1"
    )
    key = s3_environ["STORAGE_S3_PREFIX"] + DIGEST.removeprefix("sha256:")
    client.put_object(Bucket=s3_environ["STORAGE_S3_BUCKET"], Key=key, Body=b"another")
    client.close()
    with pytest.raises(StorageError, match="damaged"):
        storage.get(DIGEST)
    storage.close()


def test_an_endpoint_that_is_no_url_stops_the_start() -> None:
    with pytest.raises(ConfigError, match="STORAGE_S3_ENDPOINT_URL"):
        open_storage(load({"STORAGE_TYPE": "s3", "STORAGE_S3_BUCKET": "b", "STORAGE_S3_ENDPOINT_URL": "not a url"}))
