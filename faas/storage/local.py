"""Packages as files of a folder, sharded by the first two digits of the digest: `ab/abcdef…`."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from faas.errors import StorageError
from faas.storage.digest import digest_of, digest_of_file, hex_of, verified

# What a killed process left half-written goes once it is certainly nobody's any more.
_STALE_S = 24 * 3600.0


class LocalStorage:
    """`Storage` in a folder, which is made (0700) where it is not there. Files are 0600 and appear whole, by a rename.

    Raises:
        StorageError: the folder can't be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = folder / "incoming"
        with _translated("the storage folder can't be made"):
            self._make(self._incoming)
            self._sweep()

    def put(self, data: bytes) -> str:
        """Keep bytes; see `Storage`."""
        digest = digest_of(data)
        self._keep(digest, lambda file: file.write(data))
        return digest

    def put_file(self, path: Path) -> str:
        """Keep a file; see `Storage`."""
        with _translated("the file can't be read"):
            digest = digest_of_file(path)

        def copy(target: BinaryIO) -> None:
            with path.open("rb") as source:
                shutil.copyfileobj(source, target, 1 << 20)

        self._keep(digest, copy)
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes of a digest; see `Storage`."""
        try:
            data = self._path(digest).read_bytes()
        except FileNotFoundError:
            raise StorageError(f"there is no package {digest}") from None
        except OSError as error:
            raise StorageError(f"the package {digest} can't be read: {error.strerror}") from error
        return verified(digest, data)

    def exists(self, digest: str) -> bool:
        """Whether there is something under the digest."""
        with _translated("the storage folder can't be read"):
            return self._path(digest).exists()

    def delete(self, digest: str) -> None:
        """Forget a digest; see `Storage`."""
        with _translated("the package can't be deleted"):
            self._path(digest).unlink(missing_ok=True)

    def check(self) -> None:
        """Raise StorageError where a `put` could not work now: no folder, a read-only one, a full disk."""
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise StorageError("the storage folder is not there, or can't be written")
        with _translated("the storage folder can't be read"):
            if os.statvfs(self._folder).f_bavail == 0:
                raise StorageError("the disk of the storage folder is full")

    def close(self) -> None:
        """Nothing is held between calls."""

    def _path(self, digest: str) -> Path:
        name = hex_of(digest)
        return self._folder / name[:2] / name

    def _keep(self, digest: str, write: Callable[[BinaryIO], object]) -> None:
        target = self._path(digest)
        with _translated("the package can't be written"):
            # A damaged file is replaced: a new upload of the same bytes heals it.
            if target.exists() and digest_of_file(target) == digest:
                return
            self._make(self._incoming)
            self._make(target.parent)
            descriptor, name = tempfile.mkstemp(dir=self._incoming)  # made 0600
            try:
                with os.fdopen(descriptor, "wb") as file:
                    write(file)
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).replace(target)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
            _sync_folder(target.parent)
            _sync_folder(self._folder)

    def _make(self, child: Path) -> None:
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        for folder in (self._folder, child):
            folder.mkdir(mode=0o700, exist_ok=True)

    def _sweep(self) -> None:
        oldest = time.time() - _STALE_S
        for path in self._incoming.iterdir():
            # Another process may sweep at the same time.
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < oldest:
                    path.unlink()


def _sync_folder(folder: Path) -> None:
    """Make names that were just given survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{what}: {error.strerror or type(error).__name__}") from error
