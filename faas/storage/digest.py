"""Digests: the names under which packages are kept."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from faas.errors import StorageError

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


def digest_of(data: bytes) -> str:
    """`sha256:…` of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digest_of_file(path: Path) -> str:
    """`sha256:…` of a file's bytes. Raises OSError."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def hex_of(digest: str) -> str:
    """The 64 digits of a digest; they alone ever become a part of a path or key.

    Raises:
        StorageError: it is no digest.
    """
    match = _DIGEST.fullmatch(digest)
    if match is None:
        raise StorageError("not a digest of a package")
    return match[1]


def verified(digest: str, data: bytes) -> bytes:
    """The data, where they are what the digest says. Raises StorageError where not."""
    if digest_of(data) != digest:
        raise StorageError(f"the package {digest} is damaged: its bytes are others than those that were kept")
    return data
