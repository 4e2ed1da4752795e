"""A process of this host as the body of a sandbox. No security boundary: it can read what the worker can."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from pathlib import Path

from faas.errors import SandboxError
from faas.sandbox.body import Death

_REMOVING_S = 5.0


class ProcessBody:
    """The supervisor of one agent (`faas/sandbox/supervise.py`), seen from the worker.

    Args:
        command: starts the supervisor, which prints what it knows.
        folder: the working folder of the agent.
        environment: all of the agent's variables.
        own_memory: whether the agent's process is the function's: its memory is the call's.
        stderr: where the agent's standard error goes at first.

    Raises:
        SandboxError: it can't be started.
    """

    def __init__(
        self,
        command: list[str],
        folder: Path,
        environment: dict[str, str],
        *,
        own_memory: bool,
        stderr: int = subprocess.DEVNULL,
    ) -> None:
        self._own_memory = own_memory
        self._lock = threading.Lock()
        self._said = b""
        try:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                bufsize=0,
            )
        except OSError as exc:
            raise SandboxError(f"a process can't be started: {exc.strerror or exc}") from exc

    def limit(self, memory_mb: int, cpus: float) -> None:
        """Nothing: limits on a process alone don't hold for what it starts, and Node.js reserves far more memory than it uses."""

    def kill(self) -> None:
        """See `Body.kill`: the supervisor kills everything once its standard input ends."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def death(self, timeout_s: float) -> Death | None:
        """See `Body.death`."""
        deadline = time.monotonic() + timeout_s
        with self._lock:
            while not self._listen(max(0.0, deadline - time.monotonic())):
                if time.monotonic() >= deadline:
                    return None
            return _death(self._said)

    def _listen(self, timeout_s: float) -> bool:
        """Hear what the supervisor says; whether it has said all."""
        output = self._process.stdout
        if output is None or output.closed:
            return True
        poller = select.poll()
        poller.register(output, select.POLLIN)
        if not poller.poll(round(timeout_s * 1000)):
            return False
        data = os.read(output.fileno(), 4096)
        self._said += data
        if not data:
            output.close()
        return not data

    @property
    def _agent(self) -> int | None:
        with self._lock:
            if b"\n" not in self._said:
                self._listen(0)
            words = self._said.split()
        return int(words[1]) if len(words) > 1 and words[0] == b"started" else None

    def oom_kills(self) -> int:
        """Not known."""
        return 0

    def memory_peak_mb(self) -> float | None:
        """See `Body.memory_peak_mb`; of the agent's own process."""
        if not self._own_memory or self._agent is None:
            return None
        with contextlib.suppress(OSError, ValueError):
            for line in Path(f"/proc/{self._agent}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return round(int(line.split()[1]) / 1024, 1)
        return None

    def reset_peak(self) -> None:
        """See `Body.reset_peak`."""
        if self._own_memory and self._agent is not None:
            with contextlib.suppress(OSError):
                Path(f"/proc/{self._agent}/clear_refs").write_text("5")

    def processes(self) -> int | None:
        """The agent, its children, and those that lost their parent."""
        agent = self._agent
        if agent is None:
            return None
        # Of deeper ones the parents are counted, which is enough to know that something is left.
        return len([pid for pid in {*_children(self._process.pid), *_children(agent)} if _lives(pid)])

    def outnumbers(self, count: int) -> bool:
        """See `Body.outnumbers`."""
        return (self.processes() or 0) > count

    def freeze(self) -> bool:
        """Not done: a control group takes root."""
        return False

    def thaw(self) -> None:
        """Nothing is ever frozen."""

    def remove(self) -> None:
        """See `Body.remove`. The worker does not wait for a supervisor that was stopped: its death kills the agent too."""
        self.kill()
        try:
            self._process.wait(_REMOVING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with self._lock:
            while not self._listen(0.1):
                pass


def _death(said: bytes) -> Death:
    lines = said.decode(errors="replace").split("\n")
    word, _, number = (lines[1] if len(lines) > 1 else "").partition(" ")
    if word == "exited":
        return Death(exit_code=int(number))
    return Death(signal=int(number) if word == "killed" else signal.SIGKILL)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                found += map(int, (thread / "children").read_text().split())
    return found


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (OSError, IndexError):
        return False
