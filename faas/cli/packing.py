"""A function's folder as an archive: the same files make the same bytes, so that nothing is deployed where nothing changed."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from faas.cli.failures import CommandFailed, Exit
from faas.cli.output import size
from faas.domain.function import PACKED_BYTES, UNPACKED_BYTES

if TYPE_CHECKING:
    import pathspec

IGNORE_FILE = ".faasignore"
# What nobody means to deploy. A line with `!` in .faasignore takes one back.
DEFAULT_IGNORES = (
    ".git",
    ".hg",
    ".svn",
    ".gitignore",
    ".faas*",
    "/faas.toml",
    ".env",
    ".venv",
    "venv",
    "__pycache__",
    "*.py[co]",
    "*.egg-info",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".tox",
    "node_modules/.bin",
    "node_modules/.cache",
    ".idea",
    ".vscode",
    ".DS_Store",
    "*.swp",
    "*~",
)


@dataclass(frozen=True, slots=True)
class Package:
    """What is sent as a function's code. `unpacked` is in bytes."""

    data: bytes
    files: tuple[str, ...]
    unpacked: int


class Ignores:
    """What of a folder is not part of a function."""

    def __init__(self, folder: Path) -> None:
        import pathspec

        file = folder / IGNORE_FILE
        try:
            own = file.read_text("utf-8").splitlines() if file.exists() else []
            self._spec: pathspec.GitIgnoreSpec = pathspec.GitIgnoreSpec.from_lines([*DEFAULT_IGNORES, *own])
        except (OSError, ValueError) as error:
            raise CommandFailed(f"{file}: can't be used: {error}", Exit.USAGE) from None

    def match(self, path: str, *, folder: bool = False) -> bool:
        """Whether a path, relative and with slashes, is left out."""
        return bool(self._spec.match_file(f"{path}/" if folder else path))


def pack(folder: Path) -> Package:
    """Pack a folder as `.tar.gz`.

    Raises:
        CommandFailed: there is nothing in it, it is too large, or something in it can't be part of an archive.
    """
    ignores = Ignores(folder)
    files = sorted(_files(folder, ignores, ""))
    if not files:
        raise CommandFailed(f"{folder}: there is nothing to deploy", Exit.USAGE, hint=f"look into {IGNORE_FILE}")
    unpacked = sum((folder / name).stat().st_size for name in files)
    _check("unpacked", unpacked, UNPACKED_BYTES)
    try:
        data = _archive(folder, files)
    except OSError as error:
        raise CommandFailed(f"{error.filename or folder}: can't be read: {error.strerror or error}") from None
    _check("packed", len(data), PACKED_BYTES)
    return Package(data, tuple(files), unpacked)


def _files(folder: Path, ignores: Ignores, prefix: str) -> Iterator[str]:
    """The paths of the files to pack. Folders that are left out are not looked into: node_modules and .git are large."""
    with os.scandir(folder / prefix) as scanned:
        entries = list(scanned)
    for entry in entries:
        path = f"{prefix}{entry.name}"
        is_folder = entry.is_dir(follow_symlinks=False)
        if ignores.match(path, folder=is_folder):
            continue
        if is_folder:
            yield from _files(folder, ignores, f"{path}/")
        elif _is_inside(folder, entry):
            yield path
        else:
            raise CommandFailed(
                f"{folder / path}: can't be deployed: it is no plain file, nor a link to one in this folder",
                Exit.USAGE,
                hint=f"put a copy in its place, or leave it out by a line in {IGNORE_FILE}: /{path}",
            )


def _is_inside(folder: Path, entry: os.DirEntry[str]) -> bool:
    """Whether it is a file; a link has to lead to one of the same folder, so that no secret of the machine is packed by accident."""
    if not entry.is_file():
        return False
    return not entry.is_symlink() or Path(entry.path).resolve().is_relative_to(folder.resolve())


def _archive(folder: Path, files: list[str]) -> bytes:
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in files:
            with (folder / name).open("rb") as content:
                facts = os.fstat(content.fileno())
                info = tarfile.TarInfo(name)
                info.size, info.mode = facts.st_size, 0o755 if facts.st_mode & 0o100 else 0o644
                archive.addfile(info, content)
    return packed.getvalue()


def _check(what: str, bytes_: int, most: int) -> None:
    if bytes_ > most:
        raise CommandFailed(
            f"the code is too large: {size(bytes_)} {what}, and {size(most)} is the most",
            Exit.USAGE,
            hint=f"leave out what it does not need by lines in {IGNORE_FILE}",
        )
