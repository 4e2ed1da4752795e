"""Code packages, kept by the SHA-256 of their bytes. `open_storage` is the way in; `archive` reads what users send."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from faas.config import Settings


class Storage(Protocol):
    """A place that keeps bytes under their digest (`sha256:` and 64 hexadecimal digits). Any thread may use it.

    Every method raises `StorageError` when the place does not do its work.
    """

    def put(self, data: bytes) -> str:
        """Keep bytes, whole or not at all; keeping the same ones again is no error. Returns their digest."""
        ...

    def put_file(self, path: Path) -> str:
        """The same for a file, which need not fit into memory."""
        ...

    def get(self, digest: str) -> bytes:
        """The bytes of a digest. Raises StorageError where there are none, and where they are not the ones that were kept."""
        ...

    def exists(self, digest: str) -> bool:
        """Whether there is something under the digest."""
        ...

    def delete(self, digest: str) -> None:
        """Forget a digest; no error where there is nothing."""
        ...

    def check(self) -> None:
        """Raise StorageError where a `put` could not work now. Cheap enough for `/health`."""
        ...

    def close(self) -> None:
        """Give up what it holds (connections). Idempotent."""
        ...


def open_storage(settings: Settings) -> Storage:
    """The storage that the settings name.

    Raises:
        ConfigError: S3's endpoint is no URL.
        StorageError: the folder of the local one can't be made.
    """
    if settings.storage_type == "s3":
        # Here and not above: boto3 takes a fifth of a second to import, and most processes never need it.
        from faas.storage.s3 import S3Storage

        return S3Storage(settings.storage_s3_bucket, settings.storage_s3_prefix, settings.storage_s3_endpoint_url)
    from faas.storage.local import LocalStorage

    return LocalStorage(settings.storage_base_dir)
