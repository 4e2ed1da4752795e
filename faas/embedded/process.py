"""One program run as a child: in a process group of its own, with its output in a file, ended with us whatever happens."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from faas.embedded.account import Account
from faas.errors import PlatformError

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_POLL = 0.05


@dataclass(frozen=True, slots=True)
class Program:
    """What to run.

    Attributes:
        log: standard output and standard error are appended to it.
        ready: whether it serves by now; None where having been started is enough.
        stop_signal: asks it to end in good order.
        death_signal: what the kernel sends it when we die, even by SIGKILL.
        stop_seconds: how long it may take to end before it is killed.
        account: another account to run as; None for our own.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    log: Path
    cwd: Path
    ready: Callable[[], bool] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    stop_seconds: float = 5.0
    account: Account | None = field(default=None)


class Child:
    """A run of a `Program`. Start it from a thread that lives as long as the child: the kernel ends it with the thread that started it."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.started = time.monotonic()
        with program.log.open("ab") as log:
            try:
                self._process = subprocess.Popen(  # the child's end is waited for in `stop`
                    program.argv,
                    env=dict(program.env),
                    cwd=program.cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    process_group=0,
                    preexec_fn=_prepare(program, os.getpid()),
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise PlatformError(f"{program.name} can't be started: {error}") from None

    @property
    def pid(self) -> int:
        """The process id, which is its process group's too."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status (negative: the signal that ended it), None while it runs."""
        return self._process.poll()

    def wait_ready(self, seconds: float, stop: Callable[[], bool] = lambda: False) -> bool:
        """Wait until it serves.

        Args:
            seconds: how long at most.
            stop: asked often; true ends the waiting.

        Returns:
            False where `stop` ended the waiting.

        Raises:
            PlatformError: it ended, or did not serve in time; one line with the last of its output.
        """
        if self.program.ready is None:
            return True
        deadline = time.monotonic() + seconds
        while not stop():
            if self.status is not None:
                raise PlatformError(
                    f"{self.program.name} ended with status {self.status} before it served; {self.last_words()}"
                )
            if self.program.ready():
                return True
            if time.monotonic() > deadline:
                raise PlatformError(f"{self.program.name} does not serve after {seconds:.0f} s; {self.last_words()}")
            time.sleep(_POLL)
        return False

    def stop(self) -> None:
        """End it in good order, or kill its whole group when it takes too long. Idempotent."""
        if self.status is None:
            self._process.send_signal(self.program.stop_signal)
            try:
                self._process.wait(self.program.stop_seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        # What it may have left in its group goes too.
        self.kill()

    def kill(self) -> None:
        """Kill its whole group at once, and take its status. Idempotent."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def last_words(self) -> str:
        """The last line of its output, and where the rest is."""
        with self.program.log.open("rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - 4096))
            lines = log.read().decode(errors="replace").strip().splitlines()
        return f"{lines[-1].strip() if lines else 'it printed nothing'} (see {self.program.log})"


def run(program: Program, seconds: float) -> None:
    """Run a program to its end.

    Raises:
        PlatformError: it failed, or took longer than `seconds`.
    """
    child = Child(program)
    deadline = time.monotonic() + seconds
    while child.status is None and time.monotonic() < deadline:
        time.sleep(_POLL)
    if child.status is None:
        child.kill()
        raise PlatformError(f"{program.name} took longer than {seconds:.0f} s; {child.last_words()}")
    if child.status != 0:
        raise PlatformError(f"{program.name} ended with status {child.status}; {child.last_words()}")


def _prepare(program: Program, parent: int) -> Callable[[], None]:
    """What the child does between fork and exec."""

    def prepare() -> None:
        if program.account is not None:
            program.account.assume()
        # After the change of account, which clears it.
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(program.death_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare
