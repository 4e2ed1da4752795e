"""Archives of code: told apart, checked without touching the disk, and unpacked by the one function that does so.

The caps on what comes out are kept while it comes out. No cap on the ratio is needed beside them: deflate makes at most 1,032 bytes of one
(zlib's technical details), and no two entries may share bytes, so the work stays in proportion to what was sent.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from faas.domain.function import MIB, PACKED_BYTES
from faas.errors import TooLarge
from faas.storage.archive_rules import Entry, Ledger
from faas.storage.archive_tar import is_header, read_tar, read_tar_gz
from faas.storage.archive_zip import read_zip

Kind = Literal["zip", "tar", "tar.gz"]
_ZIP_MARKS = (b"PK\x03\x04", b"PK\x05\x06")
_READERS = {"zip": read_zip, "tar": read_tar, "tar.gz": read_tar_gz}


def kind(data: bytes) -> Kind | None:
    """What the first bytes say: an archive of that kind, or None for a single source file."""
    if data.startswith(_ZIP_MARKS):
        return "zip"
    if data.startswith(b"\x1f\x8b"):
        return "tar.gz"
    return "tar" if is_header(data[:512]) else None


def check(data: bytes) -> None:
    """Refuse code that could not be unpacked; the disk is not touched, and memory stays small whatever the archive holds.

    Args:
        data: one source file (only its size is looked at) or an archive.

    Raises:
        Invalid: a broken archive, or one that holds what API.md ("Archives") rules out; of the field `code`.
        TooLarge: over 50 MiB packed or 250 MiB unpacked.
    """
    if len(data) > PACKED_BYTES:
        raise TooLarge(f"The code is over {PACKED_BYTES // MIB} MiB.")
    if kind(data) is not None:
        for entry in _entries(data):
            for _ in entry.chunks:
                pass


def unpack(data: bytes, into: Path, *, read_only: bool = False) -> None:
    """Unpack an archive.

    Args:
        into: an empty folder, or none yet. After an error it may hold a part: throw it away.
        read_only: files become 0444 and 0555 in place of 0644 and 0755. Folders are 0755. Owners, times and set-id bits are dropped.

    Raises:
        Invalid, TooLarge: as `check` does.
        OSError: the disk does not take it.
    """
    into.mkdir(mode=0o755, parents=True, exist_ok=True)
    for entry in _entries(data):
        path = into / entry.path
        if entry.folder:
            _make_folder(path)
            for _ in entry.chunks:
                pass
            continue
        _make_folder(path.parent)
        write_new(path, entry.chunks, executable=entry.executable, read_only=read_only)


def write_new(path: Path, chunks: Iterator[bytes], *, executable: bool, read_only: bool) -> None:
    """Write a file that is not there yet; see `unpack` for the modes. Raises OSError."""
    mode = (0o755 if executable else 0o644) & (0o555 if read_only else 0o777)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        for chunk in chunks:
            file.write(chunk)
        os.fchmod(file.fileno(), mode)  # whatever the umask


def _make_folder(path: Path) -> None:
    if not path.is_dir():
        _make_folder(path.parent)
        path.mkdir()
        path.chmod(0o755)


def _entries(data: bytes) -> Iterator[Entry]:
    found = kind(data)
    if found is None:
        raise ValueError("not an archive")
    ledger = Ledger()
    yield from _READERS[found](data, ledger)
    ledger.finish()
