"""The container of one sandbox, as `Session` sees it: limited, watched and killed through the kernel where we may, else through Docker."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
from collections.abc import Callable
from typing import Any

import docker.errors
from docker.models.containers import Container

from faas.domain.function import Runtime
from faas.errors import SandboxError
from faas.sandbox.body import Death
from faas.sandbox.cgroup import CPU_PERIOD_US, ControlGroup, find, quota_us
from faas.sandbox.container_options import check_bounds
from faas.sandbox.docker_client import translated

# The agent alone needs this much: Node.js has about 50 MB resident before a function is loaded. A function of less memory gets it all the same.
_LEAST_MB = {Runtime.PYTHON: 32, Runtime.NODEJS: 80, Runtime.GO: 32}
# A shell's convention, which Docker's init keeps: 128 + n for a process that signal n ended.
_SIGNALLED = range(129, 128 + 32)
_EXIT_S = 5


class ContainerBody:
    """The body of a started container (see `faas.sandbox.body.Body`).

    Args:
        background: runs a function later in another thread, for what Docker takes long over.
        find_group: finds the control group by the first process and the container's id.

    Raises:
        SandboxError: Docker does not tell of it.
    """

    def __init__(
        self,
        container: Container,
        runtime: Runtime,
        background: Callable[[Callable[[], None]], object],
        find_group: Callable[[int, str], ControlGroup | None] = find,
    ) -> None:
        self.container = container
        self._runtime = runtime
        self._background = background
        self._lock = threading.Lock()
        self._death: Death | None = None
        self._removed = self._killed = self._frozen = False
        self._oom_kills = 0
        with translated("look at a sandbox"):
            container.reload()
        pid = int(container.attrs["State"]["Pid"])
        self._pidfd = _open(pid) if pid else None
        # Looked up after the descriptor was opened: if the group is this container's now, the descriptor is its first process's.
        self._group: ControlGroup | None = find_group(pid, str(container.id)) if pid else None
        if self._group is None:
            self._close()

    def limit(self, memory_mb: int, cpus: float) -> None:
        """See `Body.limit`."""
        check_bounds(memory_mb, cpus)
        memory_mb = max(memory_mb, _LEAST_MB[self._runtime])
        if self._group is not None and self._group.limit(memory_mb, cpus):
            return
        limit = memory_mb * 1024 * 1024
        with translated("set a sandbox's limits"):
            self.container.update(
                mem_limit=limit, memswap_limit=limit, cpu_period=CPU_PERIOD_US, cpu_quota=quota_us(cpus)
            )

    def kill(self) -> None:
        """See `Body.kill`. The end of its first process is the end of all others: the kernel sees to it."""
        with self._lock:
            if self._removed or self._death is not None:
                return
            self._killed = True
            # A frozen process of version 1 does not take the signal.
            self._thaw()
            if self._pidfd is not None:
                try:
                    signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
                except ProcessLookupError:
                    return
                except PermissionError:
                    # Not root: Docker has to do it.
                    pass
                else:
                    return
        self._background(self._kill_by_docker)

    def death(self, timeout_s: float) -> Death | None:
        """See `Body.death`."""
        # First of all: the counter goes away with the container.
        self.oom_kills()
        if self._death is None and self._ended(timeout_s):
            self._death = self._end()
        return self._death

    def oom_kills(self) -> int:
        """See `Body.oom_kills`."""
        count = self._group.oom_kills() if self._group else None
        self._oom_kills = max(self._oom_kills, count or 0)
        return self._oom_kills

    def memory_peak_mb(self) -> float | None:
        """See `Body.memory_peak_mb`."""
        return self._group.memory_peak_mb() if self._group else None

    def reset_peak(self) -> None:
        """See `Body.reset_peak`."""
        if self._group:
            self._group.reset_peak()

    def processes(self) -> int | None:
        """See `Body.processes`."""
        return self._group.processes() if self._group else None

    def outnumbers(self, count: int) -> bool:
        """See `Body.outnumbers`."""
        return self._group is not None and self._group.outnumbers(count)

    def freeze(self) -> bool:
        """See `Body.freeze`. Through the kernel alone: Docker takes 20 ms over it."""
        with self._lock:
            if self._group is None or self._killed or not self._group.freeze():
                return False
            self._frozen = True
            return True

    def thaw(self) -> None:
        """See `Body.thaw`."""
        with self._lock:
            self._thaw()

    def _thaw(self) -> None:
        if self._frozen and self._group is not None:
            self._group.thaw()
            self._frozen = False

    def remove(self) -> None:
        """See `Body.remove`. Docker takes 0.1 s over it, so it is done in the background; the engine waits for it when it is closed."""
        with self._lock:
            if self._removed:
                return
            self._removed = True
            self._close()
        self._background(self._remove_by_docker)

    def _ended(self, timeout_s: float) -> bool:
        with self._lock:
            pidfd = None if self._pidfd is None else os.dup(self._pidfd)
        if pidfd is None:
            return self._ended_by_docker(timeout_s)
        try:
            poller = select.poll()
            poller.register(pidfd, select.POLLIN)
            return bool(poller.poll(round(timeout_s * 1000)))
        finally:
            os.close(pidfd)

    def _ended_by_docker(self, timeout_s: float) -> bool:
        try:
            with translated("look at a sandbox"):
                if timeout_s > 0:
                    self.container.wait(timeout=timeout_s)
                    return True
                self.container.reload()
                return self.container.attrs["State"]["Status"] in ("exited", "dead")
        except SandboxError as exc:
            # Gone is ended; a Docker that does not answer says nothing.
            return isinstance(exc.__cause__, docker.errors.NotFound)

    def _end(self) -> Death | None:
        """How it ended, once Docker knows."""
        state: dict[str, Any] = {}
        try:
            with translated("learn how a sandbox ended"):
                code = int(self.container.wait(timeout=_EXIT_S)["StatusCode"])
                self.container.reload()
                state = self.container.attrs["State"]
        except SandboxError:
            # Removed behind our back, or Docker is down: it has ended all the same.
            code = 128 + signal.SIGKILL
        if code not in _SIGNALLED:
            return Death(exit_code=code)
        # Newer Dockers set the flag for any process of the container.
        return Death(signal=code - 128, out_of_memory=code == 128 + signal.SIGKILL and bool(state.get("OOMKilled")))

    def _kill_by_docker(self) -> None:
        with contextlib.suppress(SandboxError), translated("kill a sandbox"):
            self.container.kill()

    def _remove_by_docker(self) -> None:
        # Where this fails, the engine's end or another worker's sweep finds the container by its labels.
        with contextlib.suppress(SandboxError), translated("remove a sandbox"):
            self.container.remove(force=True, v=True)

    def _close(self) -> None:
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
        if self._group is not None:
            self._group.close()


def _open(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None
