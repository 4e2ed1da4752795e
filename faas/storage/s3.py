"""Packages as objects of an S3 bucket: `<prefix>/<64 digits>`. Credentials and region come by boto3's own ways."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from faas.errors import ConfigError, StorageError
from faas.storage.digest import digest_of, digest_of_file, hex_of, verified

_CONFIG = Config(
    # A request that hangs must fail well within the time that a caller waits.
    connect_timeout=5,
    read_timeout=30,
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=32,
    # Not every S3-compatible server knows the newer checksums; the digest says more than they do.
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)
_NOT_FOUND = frozenset({"404", "NoSuchKey", "NotFound"})


class S3Storage:
    """`Storage` in a bucket that must be there already.

    Args:
        bucket: its name.
        prefix: put before every key, with a slash between; may be empty.
        endpoint_url: of another server than AWS's; None for AWS.

    Raises:
        ConfigError: the endpoint is no URL.
    """

    def __init__(self, bucket: str, prefix: str, endpoint_url: str | None) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        try:
            # A session of its own: boto3's default one must not be used by several threads at once.
            session = boto3.session.Session()
            region = session.region_name or "us-east-1"
            self._client: Any = session.client("s3", endpoint_url=endpoint_url, region_name=region, config=_CONFIG)
        except ValueError as error:
            raise ConfigError("STORAGE_S3_ENDPOINT_URL: is not a URL") from error
        except BotoCoreError as error:
            raise ConfigError(f"S3: {error}") from error

    def put(self, data: bytes) -> str:
        """Keep bytes; see `Storage`. S3 shows an object whole or not at all."""
        digest = digest_of(data)
        self._put(digest, data)
        return digest

    def put_file(self, path: Path) -> str:
        """Keep a file; see `Storage`."""
        try:
            digest = digest_of_file(path)
            with path.open("rb") as file:
                self._put(digest, file)
        except OSError as error:
            raise StorageError(f"the file can't be read: {error.strerror}") from error
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes of a digest; see `Storage`."""
        with _translated(digest):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key(digest))
            with contextlib.closing(answer["Body"]) as body:
                data: bytes = body.read()
        return verified(digest, data)

    def exists(self, digest: str) -> bool:
        """Whether there is something under the digest."""
        with _translated(digest):
            try:
                self._client.head_object(Bucket=self._bucket, Key=self._key(digest))
            except ClientError as error:
                if _code(error) not in _NOT_FOUND:
                    raise
                # A HEAD has no body to say which is missing; a bucket that is not there is a fault, not an answer.
                self._client.head_bucket(Bucket=self._bucket)
                return False
            return True

    def delete(self, digest: str) -> None:
        """Forget a digest; see `Storage`."""
        with _translated(digest):
            self._client.delete_object(Bucket=self._bucket, Key=self._key(digest))

    def check(self) -> None:
        """Raise StorageError where the bucket can't be reached."""
        with _translated("bucket"):
            self._client.head_bucket(Bucket=self._bucket)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _key(self, digest: str) -> str:
        return f"{self._prefix}{hex_of(digest)}"

    def _put(self, digest: str, body: Any) -> None:
        with _translated(digest):
            self._client.put_object(Bucket=self._bucket, Key=self._key(digest), Body=body)


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextlib.contextmanager
def _translated(what: str) -> Iterator[None]:
    """S3's errors as StorageError. A body that breaks off while it is read comes as an error of urllib3 or of the socket."""
    try:
        yield
    except ClientError as error:
        if _code(error) in _NOT_FOUND and what != "bucket":
            raise StorageError(f"there is no package {what}") from error
        raise StorageError(f"S3 refuses ({_code(error) or 'unknown'}): {what}") from error
    except (BotoCoreError, HTTPError, OSError) as error:
        raise StorageError(f"S3 does not answer ({type(error).__name__}): {what}") from error
