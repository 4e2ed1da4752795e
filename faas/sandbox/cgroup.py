"""A container's control group, read and written directly where the kernel lets us: a file takes 0.03 ms where Docker's API takes 25 ms.

Version 1 has a folder for each controller (memory, cpu, pids …), version 2 one for all. A hybrid host has both; what counts is where the memory
controller is. `find` gives None where the host's groups can't be seen (the worker runs in a container of its own, or Docker on another machine);
callers then go without, or ask Docker.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from faas.errors import SandboxError
from faas.sandbox.kept_files import KeptFiles

CPU_PERIOD_US = 100_000
_MIB = 1024 * 1024
_PROC = Path("/proc")
# Not root, or in a container that sees the groups and may not write them.
_FORBIDDEN = (errno.EPERM, errno.EACCES, errno.EROFS)


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """The control group of one container.

    Attributes:
        version: 1 or 2.
        memory, cpu, freezer, pids: the folders that hold these controllers' files; the same one in version 2. None where the controller is not
            there.
    """

    version: int
    memory: Path
    cpu: Path | None
    freezer: Path | None = None
    pids: Path | None = None
    _files: KeptFiles = field(init=False, repr=False, compare=False)
    # The last text that was looked at for the count of kills, which seldom changes, and the count in it.
    _kills: list[tuple[bytes, int]] = field(init=False, repr=False, compare=False)
    _tasks: KeptFiles | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_files", KeptFiles(str(self.memory)))
        object.__setattr__(self, "_kills", [])
        object.__setattr__(self, "_tasks", KeptFiles(str(self.pids)) if self.pids else None)

    def close(self) -> None:
        """Close what is kept open; from then on nothing can be read."""
        self._files.close()
        if self._tasks is not None:
            self._tasks.close()

    def limit(self, memory_mb: int, cpus: float) -> bool:
        """Set the limits; swap is never had.

        Returns:
            False where this process may not, and nothing was changed.

        Raises:
            SandboxError: the kernel refuses the values, for instance because more memory than that is in use.
        """
        try:
            if self.version == 1:
                self._limit_memory_1(memory_mb * _MIB)
                self._write(self.cpu, "cpu.cfs_quota_us", quota_us(cpus))
            else:
                self._write(self.memory, "memory.max", memory_mb * _MIB)
                self._write(self.memory, "memory.swap.max", 0, optional=True)
                self._write(self.cpu, "cpu.max", f"{quota_us(cpus)} {CPU_PERIOD_US}")
        except OSError as exc:
            if exc.errno in _FORBIDDEN:
                return False
            raise SandboxError(
                f"the limits of {memory_mb} MB and {cpus:g} CPUs can't be set: {exc.strerror or exc}"
            ) from exc
        return True

    def _limit_memory_1(self, limit: int) -> None:
        # Memory with swap may never be under memory alone, so the order depends on the direction.
        names = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]
        if limit > int(self._files.read_anew(names[0]) or 0):
            names.reverse()
        for name in names:
            self._write(self.memory, name, limit, optional=name == "memory.memsw.limit_in_bytes")

    def oom_kills(self) -> int | None:
        """How many processes the kernel killed in it for want of memory; None where it can't be read."""
        try:
            text = self._files.read("memory.oom_control" if self.version == 1 else "memory.events")
        except OSError:
            return None
        if self._kills and self._kills[0][0] == text:
            return self._kills[0][1]
        count = _field(text, b"oom_kill")
        if count is not None:
            self._kills[:] = [(text, count)]
        return count

    def memory_peak_mb(self) -> float | None:
        """The most memory used since `reset_peak`, where the kernel allows that one, else since the start; None where it can't be read."""
        peak = self._number("memory.max_usage_in_bytes" if self.version == 1 else "memory.peak", self._files)
        return None if peak is None else round(peak / _MIB, 1)

    def reset_peak(self) -> None:
        """Begin a new measurement. Version 2 keeps one value for the group's life."""
        if self.version == 1:
            with contextlib.suppress(OSError):
                self._files.write("memory.max_usage_in_bytes", b"0\n")

    def processes(self) -> int | None:
        """How many processes live in it; None where it can't be read."""
        try:
            # Version 1 goes on telling what was so when the file was opened.
            return len(self._files.read_anew("cgroup.procs").split())
        except OSError:
            return None

    def outnumbers(self, count: int) -> bool:
        """Whether more processes than that live in it; False where it can't be read."""
        tasks = self._number("pids.current", self._tasks)
        if tasks is not None and tasks <= count:
            # Threads are among them, so there are no more processes: without the list, which takes the kernel ten times as long.
            return False
        return (self.processes() or 0) > count

    def freeze(self) -> bool:
        """Let none of its processes run until `thaw`; whether that could be done."""
        return self._set_frozen("FROZEN", 1)

    def thaw(self) -> bool:
        """Let its processes run on; whether that could be done."""
        return self._set_frozen("THAWED", 0)

    def _set_frozen(self, state: str, number: int) -> bool:
        try:
            if self.version == 1:
                self._write(self.freezer, "freezer.state", state)
            else:
                self._write(self.freezer, "cgroup.freeze", number)
        except OSError:
            return False
        return True

    def _number(self, name: str, files: KeptFiles | None) -> int | None:
        try:
            return None if files is None else int(files.read(name))
        except (OSError, ValueError):
            return None

    def _write(self, folder: Path | None, name: str, value: int | str, *, optional: bool = False) -> None:
        if folder is None:
            raise FileNotFoundError(2, f"no controller has {name}")
        try:
            _put(str(folder / name), value)
        except FileNotFoundError:
            # Kernels without accounting of swap have no file for it.
            if not optional:
                raise


def find(pid: int, container_id: str, *, proc: Path = _PROC) -> ControlGroup | None:
    """The control group of a container.

    Args:
        pid: of its first process, as Docker tells it.
        container_id: checked against the group's path: the number may be another process's where Docker counts in another namespace.
        proc: the proc file system.
    """
    try:
        groups = _groups((proc / str(pid) / "cgroup").read_text())
        mounts = _mounts((proc / "self" / "mountinfo").read_text())
    except OSError:
        return None
    memory, version = _folder("memory", groups, mounts), 1
    cpu, freezer, pids = (_folder(name, groups, mounts) for name in ("cpu", "freezer", "pids"))
    if memory is None:
        memory, version = _folder("", groups, mounts), 2
        cpu = freezer = pids = memory
    if memory is None or container_id not in str(memory) or not memory.is_dir():
        return None
    return ControlGroup(version, memory, cpu, freezer, pids)


def quota_us(cpus: float) -> int:
    """The share of a period that so many CPUs are."""
    return max(1000, round(cpus * CPU_PERIOD_US))


def _groups(text: str) -> dict[str, str]:
    """`/proc/PID/cgroup`: a controller's name ("" for version 2) to the group's path."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        found.update(dict.fromkeys(controllers.split(","), path))
    return found


def _mounts(text: str) -> dict[str, tuple[str, str]]:
    """`/proc/self/mountinfo`: a controller's name ("" for version 2) to the root of its mount and the place."""
    found: dict[str, tuple[str, str]] = {}
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        if len(fields) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        names = [""] if kind[0] == "cgroup2" else kind[2].split(",")
        for name in names:
            found.setdefault(name, (_unescaped(fields[3]), _unescaped(fields[4])))
    return found


def _folder(controller: str, groups: Mapping[str, str], mounts: Mapping[str, tuple[str, str]]) -> Path | None:
    if controller not in groups or controller not in mounts:
        return None
    root, place = mounts[controller]
    path = groups[controller]
    if root != "/":
        if path != root and not path.startswith(f"{root}/"):
            return None
        path = path[len(root) :]
    return Path(place + path)


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _field(text: bytes, key: bytes) -> int | None:
    """The number behind a word at the beginning of a line."""
    for line in text.splitlines():
        found, _, value = line.partition(b" ")
        if found == key and value.strip().isdigit():
            return int(value)
    return None


def _put(path: str, value: int | str) -> None:
    # Never made: the kernel would answer that with "permission denied" where the file is not there.
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        os.write(descriptor, str(value).encode())
    finally:
        os.close(descriptor)
