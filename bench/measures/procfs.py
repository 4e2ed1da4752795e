"""Processes and their memory, from /proc."""

from __future__ import annotations

from pathlib import Path

_PROC = Path("/proc")


def parent(pid: int) -> int:
    """The process's parent."""
    # The name in it may hold anything, so what follows its last bracket is read.
    return int((_PROC / f"{pid}" / "stat").read_text().rpartition(")")[2].split()[1])


def mib(pid: int) -> float:
    """The proportional set size of a process, in MiB. Raises PermissionError for another user's."""
    for line in (_PROC / f"{pid}" / "smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "Pss":
            return int(rest.split()[0]) / 1024
    return 0.0


def tree_mib(pid: int) -> float:
    """Of a process and all below it."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.glob("[0-9]*"):
        try:
            children.setdefault(parent(int(entry.name)), []).append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    total, left = 0.0, [pid]
    while left:
        one = left.pop()
        left += children.get(one, [])
        try:
            total += mib(one)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total
