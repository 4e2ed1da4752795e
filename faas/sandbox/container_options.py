"""What Docker is told of a container that a stranger's code runs in. Users supply bounded numbers elsewhere; nothing of theirs gets here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.types import LogConfig, Mount, Ulimit

from faas.errors import SandboxError
from faas.sandbox.cgroup import CPU_PERIOD_US, quota_us

USER = "10001:10001"
EXCHANGE = "/faas"
OWNER_LABEL = "faas.owner"
SANDBOX_LABEL = "faas.sandbox"
# Unix time after which a compilation can't be alive any more. A sandbox has none: its worker's lease is what it lives by.
DEADLINE_LABEL = "faas.deadline"


@dataclass(frozen=True, slots=True)
class NetworkDoor:
    """What joins a container to a network.

    Attributes:
        network: its name.
        resolv_conf: the file that names its DNS servers, on the host.
    """

    network: str
    resolv_conf: Path


@dataclass(frozen=True, slots=True)
class Command:
    """What runs in a container, where it is not what its image says."""

    entrypoint: list[str]
    arguments: list[str]
    environment: Mapping[str, str]
    working_dir: str


# The largest function that the API takes. What comes from the database is checked again: this is the last place before Docker.
_MOST_MB, _MOST_CPUS = 4096, 8.0
_PIDS = 256
_FILES = 1024


def hardened(
    *,
    name: str,
    labels: Mapping[str, str],
    mounts: list[Mount],
    memory_mb: int,
    cpus: float,
    tmp_mb: int,
    limits: Sequence[Ulimit] = (),
    door: NetworkDoor | None = None,
    command: Command | None = None,
    oci_runtime: str = "",
) -> dict[str, Any]:
    """Arguments for `containers.create`: no network, no capability, no writable place but `/tmp` and `/dev/shm`, and a bound on everything.

    This is all that Docker is ever told of a sandbox: there is no way in for a further option.

    Docker's own seccomp profile stays on, as no other is named.

    Args:
        mounts: folders of the host's.
        memory_mb: swap included, so none is had.
        tmp_mb: the size of `/tmp`, which counts as the container's memory.
        limits: resource limits besides those of all.
        door: to a network; none where it is left out.
        command: what runs in it; what the image says where it is left out.
        oci_runtime: the runtime that Docker is to use; its default one where it is empty.

    Raises:
        SandboxError: see `check_bounds`.
    """
    check_bounds(memory_mb, cpus)
    options: dict[str, Any] = {
        "name": name,
        "labels": dict(labels),
        "mounts": mounts,
        "hostname": "sandbox",
        "user": USER,
        "network_mode": "none",
        "ipc_mode": "private",
        "read_only": True,
        # A function may run what it downloads or unpacks there, so no noexec on /tmp. Inodes cost kernel memory: they are bounded too.
        "tmpfs": {
            "/tmp": f"rw,exec,nosuid,nodev,mode=1777,size={tmp_mb}m,nr_inodes=8192",  # noqa: S108  # inside of the container
            "/dev/shm": "rw,noexec,nosuid,nodev,mode=1777,size=16m,nr_inodes=1024",  # noqa: S108
        },
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "mem_limit": f"{memory_mb}m",
        "memswap_limit": f"{memory_mb}m",
        # A quota and not nano_cpus, which Docker would not let us change to a quota later.
        "cpu_period": CPU_PERIOD_US,
        "cpu_quota": quota_us(cpus),
        "pids_limit": _PIDS,
        "ulimits": [Ulimit(name="nofile", soft=_FILES, hard=_FILES), Ulimit(name="core", soft=0, hard=0), *limits],
        "log_config": LogConfig(type=LogConfig.types.NONE),
        # An init of Docker's own as process 1: it reaps orphans, and passes the exit status on (128 + n for signal n).
        "init": True,
        "stdin_open": False,
        "tty": False,
    }
    if oci_runtime:
        options["runtime"] = oci_runtime
    if door is not None:
        options["network_mode"] = door.network
        options["mounts"] = [*mounts, bind(door.resolv_conf, "/etc/resolv.conf", read_only=True)]
    if command is not None:
        options |= {
            "entrypoint": command.entrypoint,
            "command": command.arguments,
            "environment": dict(command.environment),
            "working_dir": command.working_dir,
        }
    return options


def check_bounds(memory_mb: int, cpus: float) -> None:
    """Raises SandboxError where a container would get more than any function may have, or what is no number at all."""
    if type(memory_mb) is not int or not 0 < memory_mb <= _MOST_MB:
        raise SandboxError(f"{memory_mb!r} is no memory limit of a sandbox: it has to be from 1 to {_MOST_MB} MB")
    if type(cpus) not in (int, float) or not 0 < cpus <= _MOST_CPUS:
        raise SandboxError(f"{cpus!r} is no limit of CPUs of a sandbox: it has to be over 0 and up to {_MOST_CPUS:g}")


def bind(source: Path, target: str, *, read_only: bool) -> Mount:
    """A folder of the host's at a place in the container."""
    return Mount(target=target, source=str(source), type="bind", read_only=read_only)
