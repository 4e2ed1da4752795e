"""The exchange: a folder for each sandbox through which the host and the agent reach each other.

It holds `agent.sock` (the host listens, the first connection wins), the FIFOs `stdout` and `stderr` (the agent makes them
its descriptors 1 and 2, the host reads), and `code/` (filled when the sandbox is given to a revision). A container sees it
read-only at `/faas`: a socket can still be connected to and a FIFO written there. The folders lie at
`<work folder>/sandboxes/<worker incarnation>/<sandbox id>`.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from faas.errors import SandboxError
from faas.sandbox.engine import Owner

_SANDBOXES = "sandboxes"
SOCKET = "agent.sock"
STREAMS = ("stdout", "stderr")
CODE = "code"
_TRIES = 20


class Exchange:
    """One sandbox's exchange, seen from the host. Made ready to be connected to.

    Args:
        work_dir: the worker's work folder.
        owner: the incarnation of the worker, which the folder is filed under.
        sandbox_id: names the folder.
        copy: whether code is copied rather than hard-linked: for engines whose functions could write through a link.

    Raises:
        SandboxError: the folder can't be made.
    """

    def __init__(self, work_dir: Path, owner: Owner, sandbox_id: str, *, copy: bool = False) -> None:
        self.path = owner_folder(work_dir, owner.worker) / sandbox_id
        self._copy = copy
        self._listener: socket.socket | None = None
        self.streams: dict[str, int] = {}
        self._writers: list[int] = []
        try:
            self._make()
        except OSError as exc:
            self.close()
            raise SandboxError(f"the exchange folder {self.path} can't be made: {exc.strerror or exc}") from exc

    @property
    def code(self) -> Path:
        """The folder of the code."""
        return self.path / CODE

    def _make(self) -> None:
        # Other users of the host are kept out by the parent; the sandbox's user comes in by the mount, so what is below is open to it.
        _make_in(self.path.parent, self.path.name)
        self.code.mkdir()
        for folder in (self.path, self.code):
            folder.chmod(0o755)
        for name in STREAMS:
            self._make_fifo(self.path / name, name)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        _bind(self._listener, self.path)
        (self.path / SOCKET).chmod(0o666)
        self._listener.listen(1)

    def _make_fifo(self, path: Path, name: str) -> None:
        os.mkfifo(path, 0o600)
        path.chmod(0o622)
        self.streams[name] = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        # A writer of the host's own: the stream has no end while the sandbox's writers come and go.
        self._writers.append(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))

    def accept(self, timeout_s: float, alive: Callable[[], bool]) -> socket.socket:
        """The agent's connection, non-blocking. The socket's name is removed: nobody else can connect.

        Args:
            alive: whether the agent may still come; asked twice a second.

        Raises:
            SandboxError: nobody came in time.
        """
        listener, self._listener = self._listener, None
        if listener is None:
            raise SandboxError("the exchange is closed")
        deadline = time.monotonic() + timeout_s
        with listener:
            while not _readable(listener, min(0.5, deadline - time.monotonic())):
                if not alive():
                    raise SandboxError("the agent died before it connected")
                if time.monotonic() >= deadline:
                    raise SandboxError(f"the agent did not connect within {timeout_s:g} s")
            try:
                connection, _ = listener.accept()
                (self.path / SOCKET).unlink(missing_ok=True)
            except OSError as exc:
                raise SandboxError(f"the agent's connection can't be taken: {exc.strerror or exc}") from exc
        connection.setblocking(False)
        return connection

    def fill(self, source: Path) -> None:
        """Put the code in, by hard links where they can be made; it can be read by all and written by nobody.

        Raises:
            SandboxError: it can't be read, or not be written here.
        """
        try:
            self._fill(source, self.code)
        except OSError as exc:
            raise SandboxError(f"the code can't be put into the sandbox: {exc.strerror or exc}") from exc

    def _fill(self, source: Path, target: Path) -> None:
        with os.scandir(source) as entries:
            for entry in entries:
                into = target / entry.name
                if entry.is_dir(follow_symlinks=False):
                    into.mkdir()
                    self._fill(Path(entry.path), into)
                else:
                    self._put(Path(entry.path), into)
        target.chmod(0o555 if self._copy else 0o755)

    def _put(self, source: Path, target: Path) -> None:
        if not self._copy:
            try:
                os.link(source, target, follow_symlinks=False)
                return
            except OSError:
                # Another file system, a file with too many links, or a file system without them.
                target.unlink(missing_ok=True)
        shutil.copyfile(source, target, follow_symlinks=False)
        target.chmod(0o555 if source.stat().st_mode & 0o111 else 0o444)

    def close(self) -> None:
        """Close the descriptors and remove the folder. Idempotent, never raises."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for descriptor in (*self.streams.values(), *self._writers):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self.streams, self._writers = {}, []
        remove_tree(self.path)
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()


@contextlib.contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A folder for a while, in an incarnation's folder: for a compilation, which ends with its owner like the sandboxes do.

    Args:
        folder: the incarnation's, as `owner_folder` names it.
    """
    path = folder / f"build-{uuid.uuid4().hex[:16]}"
    _make_in(folder, path.name)
    try:
        yield path
    finally:
        remove_tree(path)
        with contextlib.suppress(OSError):
            folder.rmdir()


def _make_in(folder: Path, name: str) -> None:
    """Make a folder in an incarnation's, which is made where it is not there."""
    for _ in range(_TRIES):
        # The end of another sandbox may just have removed the incarnation's folder, which was empty: then it is not there, or (when pathlib
        # looks at what was in its way) not any more.
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (folder / name).mkdir(mode=0o700)
            return
    (folder / name).mkdir(mode=0o700)


def owners(work_dir: Path) -> set[str]:
    """The worker incarnations that have a folder here."""
    try:
        return {entry.name for entry in (work_dir / _SANDBOXES).iterdir()}
    except OSError:
        return set()


def remove_owner(work_dir: Path, worker: str) -> int:
    """Remove every exchange of an incarnation; returns how many there were."""
    folder = owner_folder(work_dir, worker)
    try:
        found = list(folder.iterdir())
    except OSError:
        return 0
    for path in found:
        remove_tree(path)
    with contextlib.suppress(OSError):
        folder.rmdir()
    return len(found)


def remove_tree(path: Path) -> None:
    """Remove a folder whatever modes a function gave to what is in it. Links are not followed. Never raises."""
    shutil.rmtree(path, ignore_errors=True)
    if not path.is_dir():
        return
    with contextlib.suppress(OSError):
        path.chmod(stat.S_IRWXU)
    for folder, names, _ in os.walk(path):
        for name in names:
            child = Path(folder, name)
            with contextlib.suppress(OSError):
                if not child.is_symlink():
                    child.chmod(stat.S_IRWXU)
    shutil.rmtree(path, ignore_errors=True)


def _readable(sock: socket.socket, timeout_s: float) -> bool:
    # `select` can't take descriptors over 1023.
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    return bool(poller.poll(max(0, round(timeout_s * 1000))))


def owner_folder(work_dir: Path, worker: str) -> Path:
    """Where an incarnation's folders lie. Raises SandboxError for a name that can't be a folder's."""
    if worker in ("", ".", "..") or "/" in worker or "\0" in worker:
        raise SandboxError(f"{worker!r} can't name a folder")
    return work_dir / _SANDBOXES / worker


def _bind(listener: socket.socket, folder: Path) -> None:
    # A socket's path has room for 107 bytes; through a descriptor of its folder any folder will do.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listener.bind(f"/proc/self/fd/{descriptor}/{SOCKET}")
    finally:
        os.close(descriptor)
