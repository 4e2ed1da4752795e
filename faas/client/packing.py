"""Packs a folder of code. The same files make the same bytes, whoever packs them and when."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

# What is never code. Everything else goes in: `node_modules` is what a Node.js function needs.
_LEFT_OUT = frozenset(
    {".git", ".hg", ".svn", "__pycache__", ".venv", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".DS_Store"}
)


def pack(path: Path) -> bytes:
    """A file's bytes, or a folder as `.tar.gz`.

    Args:
        path: a source file, an archive, or a folder whose contents become the top of the archive.

    Raises:
        ValueError: there is nothing at the path, or something that is neither a file nor a folder is in the folder.
    """
    if path.is_file():
        return path.read_bytes()
    if not path.is_dir():
        raise ValueError(f"{path}: there is no such file or folder")
    return _archive(path)


def _archive(folder: Path) -> bytes:
    import gzip
    import io
    import tarfile

    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for file in sorted(_files(folder)):
            info = tarfile.TarInfo(file.relative_to(folder).as_posix())
            info.size = file.stat().st_size
            info.mode = 0o755 if file.stat().st_mode & 0o100 else 0o644
            with file.open("rb") as content:
                archive.addfile(info, content)
    return packed.getvalue()


def _files(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.name in _LEFT_OUT:
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from _files(entry)
        elif entry.is_file():
            # A link is packed as what it leads to: the platform takes plain files alone.
            yield entry
        else:
            raise ValueError(f"{entry}: is neither a file nor a folder")
