"""What an archive of code may hold, whatever its format: the rules of paths, numbers and sizes, kept while it is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from faas.domain.function import MIB, UNPACKED_BYTES
from faas.errors import Invalid, TooLarge

MAX_ENTRIES = 10_000
# Folders that only paths imply cost an inode each too.
MAX_PATHS = 2 * MAX_ENTRIES
# Together with the folder that it is unpacked under, a path must stay under Linux's PATH_MAX (4096), and a name under NAME_MAX.
_PATH_BYTES, _NAME_BYTES, _DEPTH = 1024, 255, 64


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or folder of an archive.

    Attributes:
        path: relative, with single slashes, free of `.` and `..`; empty for the archive's own top folder.
        executable: whether a file may be run.
        chunks: the file's bytes, checked as they go by; must be read to the end before the next entry is asked for.
    """

    path: str
    folder: bool
    executable: bool
    chunks: Iterator[bytes]


def refuse(why: str) -> NoReturn:
    """Raise the error of an archive that can't be taken."""
    raise Invalid({"code": [why]})


def refuse_size() -> NoReturn:
    """Raise the error of an archive that unpacks to too much."""
    raise TooLarge(f"The archive unpacks to more than {UNPACKED_BYTES // MIB} MiB.")


class Ledger:
    """What was seen of one archive so far. Its methods raise Invalid or TooLarge."""

    def __init__(self) -> None:
        self._entries = 0
        self._left = UNPACKED_BYTES
        # A path's case-folded form → its spelling, whether it is a folder, whether it had an entry of its own.
        self._paths: dict[str, tuple[str, bool, bool]] = {}

    def admit(self, name: str, *, folder: bool) -> str:
        """Take note of an entry; its clean path."""
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            refuse(f"The archive has more than {MAX_ENTRIES:,} entries.")
        parts = _parts(name)
        if not parts:
            if not folder:
                refuse("The archive has a file without a name.")
            return ""
        for depth in range(1, len(parts)):
            self._note("/".join(parts[:depth]), folder=True, own=False)
        path = "/".join(parts)
        self._note(path, folder=folder, own=True)
        return path

    def count(self, chunk: bytes) -> bytes:
        """Take note of bytes of a file as they are unpacked."""
        self.expect(len(chunk))
        self._left -= len(chunk)
        return chunk

    def expect(self, size: int) -> None:
        """Refuse at once what says that it is too large; that it says less is believed of nobody."""
        if size > self._left:
            refuse_size()

    def finish(self) -> None:
        """Refuse an archive without a file."""
        if all(folder for _, folder, _ in self._paths.values()):
            refuse("The archive has no file in it.")

    def _note(self, path: str, *, folder: bool, own: bool) -> None:
        folded = path.casefold()
        known = self._paths.get(folded)
        if known is not None:
            spelling, was_folder, had_own = known
            if spelling != path:
                refuse(f"The archive has paths that differ in case alone: {_shown(path)}")
            if was_folder != folder:
                refuse(f"The archive has one path as a file and as a folder: {_shown(path)}")
            if (own and had_own) or not folder:
                refuse(f"The archive has a path twice: {_shown(path)}")
            own = own or had_own
        elif len(self._paths) >= MAX_PATHS:
            refuse(f"The archive has more than {MAX_PATHS:,} files and folders.")
        self._paths[folded] = path, folder, own


def _parts(name: str) -> list[str]:
    if "\0" in name or "\\" in name:
        refuse(f"The archive has a path with a backslash or a NUL: {_shown(name)}")
    if name.startswith("/"):
        refuse(f"The archive has an absolute path: {_shown(name)}")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        refuse(f"The archive has a path with '..': {_shown(name)}")
    try:
        sizes = [len(part.encode()) for part in parts]
    except UnicodeEncodeError:
        refuse(f"The archive has a path that is not UTF-8: {_shown(name)}")
    if sum(sizes) + len(sizes) > _PATH_BYTES or len(sizes) > _DEPTH or max(sizes, default=0) > _NAME_BYTES:
        refuse(f"The archive has a path that is too long: {_shown(name)}")
    return parts


def _shown(name: str) -> str:
    """A name from a stranger, fit for a message."""
    return ascii(name[:100])
