"""The folder of packages: modes, atomic writes, damage, and a disk that does not do its work."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from pathlib import Path

import pytest

from faas.errors import StorageError
from faas.storage.local import LocalStorage

DATA = b"package"
HEX = hashlib.sha256(DATA).hexdigest()
DIGEST = f"sha256:{HEX}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "a" / "packages"


@pytest.fixture
def storage(folder: Path) -> LocalStorage:
    return LocalStorage(folder)


def test_packages_are_sharded_and_private(storage: LocalStorage, folder: Path) -> None:
    storage.put(DATA)
    path = folder / HEX[:2] / HEX
    assert path.read_bytes() == DATA
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {stat.S_IMODE(each.stat().st_mode) for each in (folder, path.parent)} == {0o700}


def test_a_write_leaves_no_temporary_file(storage: LocalStorage, folder: Path) -> None:
    storage.put(DATA)
    assert list((folder / "incoming").iterdir()) == []


def test_a_write_that_fails_leaves_nothing(storage: LocalStorage, folder: Path) -> None:
    (folder / HEX[:2]).write_text("a file in the way")
    with pytest.raises(StorageError):
        storage.put(DATA)
    assert list((folder / "incoming").iterdir()) == []


def test_damage_is_noticed_and_healed_by_a_new_upload(storage: LocalStorage, folder: Path) -> None:
    storage.put(DATA)
    (folder / HEX[:2] / HEX).write_bytes(b"Package")
    with pytest.raises(StorageError, match="damaged"):
        storage.get(DIGEST)
    storage.put(DATA)
    assert storage.get(DIGEST) == DATA


def test_a_lost_folder_fails_the_check_and_comes_back_with_the_next_upload(storage: LocalStorage, folder: Path) -> None:
    shutil.rmtree(folder)
    with pytest.raises(StorageError):
        storage.check()
    storage.put(DATA)
    storage.check()
    assert storage.get(DIGEST) == DATA


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        LocalStorage(tmp_path / "file" / "packages")


def test_what_a_killed_process_left_goes_after_a_day(storage: LocalStorage, folder: Path) -> None:
    old, new = folder / "incoming" / "old", folder / "incoming" / "new"
    for path in (old, new):
        path.touch()
    os.utime(old, (1, 1))
    LocalStorage(folder)
    assert not old.exists()
    assert new.exists()
