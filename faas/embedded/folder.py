"""The data folder of `faas dev`, which one process at a time may use."""

from __future__ import annotations

import fcntl
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from faas.errors import PlatformError

# Over it a log is put aside when the stack starts.
_LOG_BYTES = 10 << 20


@dataclass(frozen=True, slots=True)
class DataFolder:
    """Paths in the data folder."""

    root: Path

    @property
    def postgres(self) -> Path:
        """The cluster and what belongs to it."""
        return self.root / "postgres"

    @property
    def redis(self) -> Path:
        """The configuration of Redis."""
        return self.root / "redis"

    @property
    def storage(self) -> Path:
        """Code packages."""
        return self.root / "functions"

    @property
    def work(self) -> Path:
        """Where the worker unpacks code and makes its sandboxes."""
        return self.root / "work"

    @property
    def run(self) -> Path:
        """Where the platform's programs are started in; empty, so that nothing in it is taken for a Python module."""
        return self.root / "run"

    @property
    def name(self) -> str:
        """A short name that is the folder's alone on this machine, and stays the same."""
        return "dev-" + hashlib.sha256(os.fsencode(self.root)).hexdigest()[:8]

    @property
    def secrets_key(self) -> Path:
        """What its secrets are encrypted with; for this account alone."""
        return self.root / "secrets.key"

    def log(self, name: str) -> Path:
        """The log file of a program."""
        return self.root / "logs" / f"{name}.log"

    def make(self) -> None:
        """Make the folders, and put logs aside that have grown big.

        Raises:
            PlatformError: the place can't be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            for folder in (self.storage, self.work, self.run, self.root / "logs"):
                folder.mkdir(exist_ok=True)
            for log in (self.root / "logs").glob("*.log"):
                if log.stat().st_size > _LOG_BYTES:
                    log.replace(log.with_suffix(".log.1"))
        except OSError as error:
            raise PlatformError(f"the data folder {self.root} can't be used: {error.strerror}") from None


class Lock:
    """Held on a data folder as long as a stack uses it; the kernel lets go of it when the process ends, however it ends.

    Raises:
        PlatformError: another process holds it.
    """

    def __init__(self, folder: DataFolder) -> None:
        try:
            self._file = os.open(folder.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise PlatformError(f"the data folder {folder.root} can't be used: {error.strerror}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._file, 20).decode(errors="replace").strip()
            os.close(self._file)
            raise PlatformError(
                f"the data folder {folder.root} is in use by another process ({holder or 'unknown'})"
            ) from None
        os.ftruncate(self._file, 0)
        os.write(self._file, f"{os.getpid()}\n".encode())

    def __enter__(self) -> Lock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)
