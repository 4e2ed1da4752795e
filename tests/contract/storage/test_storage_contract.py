"""What every storage of code packages promises."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from faas.errors import StorageError
from faas.storage import Storage

DATA = b"def handler(event, context):\n    return event\n"
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()


@pytest.mark.parametrize("data", [DATA, b"", os.urandom(9 * 1024 * 1024)], ids=["text", "empty", "9 MiB"])
def test_what_is_put_comes_back_under_its_sha256(storage: Storage, data: bytes) -> None:
    digest = storage.put(data)
    assert digest == "sha256:" + hashlib.sha256(data).hexdigest()
    assert storage.get(digest) == data


def test_putting_the_same_bytes_again_is_no_error(storage: Storage) -> None:
    assert storage.put(DATA) == storage.put(DATA) == DIGEST
    assert storage.get(DIGEST) == DATA


def test_a_file_is_kept_like_its_bytes(storage: Storage, tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_bytes(DATA * 100_000)
    assert storage.get(storage.put_file(path)) == DATA * 100_000


def test_a_file_that_is_not_there_is_a_storage_error(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        storage.put_file(tmp_path / "nothing")


def test_exists_tells_what_is_there(storage: Storage) -> None:
    assert not storage.exists(DIGEST)
    storage.put(DATA)
    assert storage.exists(DIGEST)


def test_getting_what_is_not_there_is_a_storage_error(storage: Storage) -> None:
    with pytest.raises(StorageError, match=DIGEST):
        storage.get(DIGEST)


def test_what_is_deleted_is_gone_and_may_be_deleted_again(storage: Storage) -> None:
    storage.put(DATA)
    storage.delete(DIGEST)
    assert not storage.exists(DIGEST)
    storage.delete(DIGEST)


def test_only_digests_become_names(storage: Storage) -> None:
    strange = ["", "sha256:", "sha256:../../etc/passwd", "md5:" + "a" * 64, DIGEST.upper(), DIGEST + "0", DIGEST + "\n"]
    for digest in strange:
        for method in (storage.get, storage.exists, storage.delete):
            with pytest.raises(StorageError):
                method(digest)


def test_a_working_storage_passes_its_check(storage: Storage) -> None:
    storage.check()


def test_many_threads_may_put_and_get_at_once(storage: Storage) -> None:
    packages = [bytes([number % 5]) * 50_000 for number in range(40)]
    with ThreadPoolExecutor(8) as threads:
        digests = list(threads.map(storage.put, packages))
        assert list(threads.map(storage.get, digests)) == packages
