"""The shelf: unpacked code on a worker's disk, ready to be given to sandboxes; and the laying out of sources for builds."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

from faas.domain.function import MIB, Revision, Runtime, Spec, source_file
from faas.domain.ids import is_id
from faas.errors import ClientError, FunctionError, SandboxError, StorageError
from faas.storage import Storage, archive
from faas.storage.digest import hex_of

# A folder that was handed out this recently may be in the middle of being linked into a sandbox, by any process of the host.
_IN_USE_S = 600.0
# How often a folder in use is marked so: far less often than above, and rarely enough to cost nothing.
_MARK_S = 60.0
_NAME_BYTES = 255


class Shelf:
    """A cache of unpacked code. Any number of threads and processes may share one folder.

    A folder appears by a rename once it is whole. Files are 0444 or 0555, folders 0755. The folders live under the id of the machine's
    boot: after a power failure names may be there without their bytes, so a new boot begins an empty shelf.

    Args:
        folder: made (0700) where it is not there.
        max_bytes: of disk; the least recently used go above it, except what was handed out within the last ten minutes.

    Raises:
        SandboxError: the folder can't be made.
    """

    def __init__(self, storage: Storage, folder: Path, max_bytes: int = 4096 * MIB) -> None:
        self._storage = storage
        self._max_bytes = max_bytes
        self._folder = folder / _boot_id()
        self._incoming = folder / "incoming"
        self._lock = threading.Lock()
        self._marked: dict[tuple[str, str], tuple[Path, float]] = {}
        self._making: dict[tuple[str, str], Future[Path]] = {}
        self._sizes: dict[str, int] = {}
        with _translated():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._incoming.mkdir(mode=0o700, exist_ok=True)
            self._sweep(folder)

    def get(self, revision: Revision) -> Path:
        """The folder with a revision's code: the source file, the unpacked archive, or for Go the program `main`. Only to be read.

        Raises:
            StorageError: the code can't be read from storage, or is not what was checked when it was accepted.
            FunctionError: a single source file whose handler makes too long a file name.
            SandboxError: the disk does not take it.
        """
        key = revision.artifact_digest, _layout(revision.spec)
        known = self._marked.get(key)
        if known is not None and time.monotonic() - known[1] < _MARK_S:
            return known[0]
        return self._get_once(key, revision)

    def _get_once(self, key: tuple[str, str], revision: Revision) -> Path:
        with self._lock:
            future = self._making.get(key)
            mine = future is None
            if future is None:
                future = self._making[key] = Future()
        if not mine:
            return future.result()
        try:
            path = self._found(key) or self._made(key, revision)
        except BaseException as error:
            future.set_exception(error)
            raise
        else:
            with self._lock:
                self._marked[key] = path, time.monotonic()
            future.set_result(path)
            return path
        finally:
            with self._lock:
                del self._making[key]

    def _found(self, key: tuple[str, str]) -> Path | None:
        """A folder that is there already, now marked as in use."""
        digest, layout = key
        for name in (_archive_name(digest), _single_name(digest, layout)):
            path = self._folder / name
            with _translated(), contextlib.suppress(FileNotFoundError):
                os.utime(path)
                return path
        return None

    def _made(self, key: tuple[str, str], revision: Revision) -> Path:
        digest, layout = key
        data = self._storage.get(digest)
        temporary = self._incoming / uuid.uuid4().hex
        try:
            with _translated():
                temporary.mkdir(parents=True)
                temporary.chmod(0o755)
                single = _lay_out(revision.spec, data, temporary)
                path = self._folder / (_single_name(digest, layout) if single else _archive_name(digest))
                # It fails where another process was faster, which is as good.
                with contextlib.suppress(FileExistsError):
                    _rename(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        self._trim()
        return path

    def _trim(self) -> None:
        """Remove the least recently used above the bound."""
        with self._lock:
            expired = time.monotonic() - _MARK_S
            self._marked = {key: mark for key, mark in self._marked.items() if mark[1] > expired}
        with _translated():
            entries = sorted(self._entries())
        sizes = {name: self._sizes.get(name) or _disk_bytes(self._folder / name) for _, name in entries}
        self._sizes = sizes
        total = sum(sizes.values())
        oldest = time.time() - _IN_USE_S
        for used_at, name in entries:
            if total <= self._max_bytes or used_at > oldest:
                return
            self._remove(self._folder / name)
            total -= sizes[name]

    def _entries(self) -> Iterator[tuple[float, str]]:
        """When each folder was last marked, and its name."""
        with os.scandir(self._folder) as found:
            for entry in found:
                with contextlib.suppress(FileNotFoundError):
                    yield entry.stat().st_mtime, entry.name

    def _remove(self, path: Path) -> None:
        # The name goes first, at once: nobody is handed a folder that is half gone.
        trash = self._incoming / uuid.uuid4().hex
        with _translated(), contextlib.suppress(FileNotFoundError):
            path.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)

    def _sweep(self, root: Path) -> None:
        """Remove what earlier boots and processes that died left."""
        oldest = time.time() - _IN_USE_S
        for path in root.iterdir():
            if path != self._folder and is_id(path.name):
                shutil.rmtree(path, ignore_errors=True)
        for path in self._incoming.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < oldest:
                    shutil.rmtree(path, ignore_errors=True)


def unpack_source(spec: Spec, data: bytes, into: Path, *, read_only: bool = False) -> None:
    """Lay out a function's code as its owner sent it: an archive unpacked, or the one file under the handler's name.

    Args:
        into: an empty folder, or none yet.
        read_only: files that can't be written; see `archive.unpack`.

    Raises:
        FunctionError: the handler makes too long a file name.
        StorageError: the archive is not what was checked when it was accepted.
        OSError: the disk does not take it.
    """
    if archive.kind(data) is None:
        path = into / source_file(spec, data)
        if any(len(part.encode()) > _NAME_BYTES for part in path.parts):
            raise FunctionError("The handler's module has too long a name for a file.")
        _write(path, data, executable=False, read_only=read_only)
        return
    try:
        archive.unpack(data, into, read_only=read_only)
    except ClientError as error:
        raise StorageError(f"a package that was accepted can't be unpacked: {error}") from error


def _lay_out(spec: Spec, data: bytes, into: Path) -> bool:
    """Whether the name of the handler matters for what was laid out."""
    if spec.runtime is Runtime.GO:
        _write(into / "main", data, executable=True, read_only=True)
        return True
    unpack_source(spec, data, into, read_only=True)
    return archive.kind(data) is None


def _write(path: Path, data: bytes, *, executable: bool, read_only: bool) -> None:
    for folder in reversed(path.parents):
        if not folder.exists():
            folder.mkdir()
            folder.chmod(0o755)
    archive.write_new(path, iter((data,)), executable=executable, read_only=read_only)


def _layout(spec: Spec) -> str:
    return f"{spec.runtime}\0{spec.handler.rpartition('.')[0]}"


def _archive_name(digest: str) -> str:
    return hex_of(digest)


def _single_name(digest: str, layout: str) -> str:
    return f"{hex_of(digest)}-{hashlib.sha256(layout.encode()).hexdigest()[:16]}"


def _rename(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError:
        # ENOTEMPTY or EEXIST, as the file system likes.
        if target.is_dir():
            raise FileExistsError(target) from None
        raise


def _disk_bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.lstat().st_blocks * 512
    return max(total, 1)


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SandboxError(f"the shelf of code does not work: {error.strerror or type(error).__name__}") from error
