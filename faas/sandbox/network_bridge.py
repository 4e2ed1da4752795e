"""The kernel's side of the bridge of sandboxes with network egress: no IPv6, and no way from one sandbox to another, not even below IP."""

from __future__ import annotations

from pathlib import Path

from faas.errors import SandboxError
from faas.sandbox import cgroup
from faas.sandbox.network_rules import run

_INTERFACES = Path("/sys/class/net")
_IPV6 = Path("/proc/sys/net/ipv6/conf")
# Docker's resolver, in each sandbox's own network: it would tell the names and addresses of the neighbours.
_DOCKERS_RESOLVER = "127.0.0.11"


def has_no_ipv6(bridge: str) -> bool:
    """Whether the bridge is here (and not on another machine's Docker), and takes no IPv6 from sandboxes."""
    if not (_INTERFACES / bridge / "bridge").is_dir():
        return False
    switch = _IPV6 / bridge / "disable_ipv6"
    # A kernel without IPv6 has no such folder at all.
    return not _IPV6.is_dir() or _read(switch) == "1"


def refuse_ipv6(bridge: str) -> None:
    """Take no IPv6 on the bridge: its rules are about IPv4. Raises SandboxError."""
    if not (_INTERFACES / bridge).exists():
        raise _unavailable(f"the bridge {bridge} is not on this host: Docker is rootless, or on another machine")
    if _IPV6.is_dir():
        _write(_IPV6 / bridge / "disable_ipv6")


def isolate(bridge: str) -> None:
    """Let the sandboxes on the bridge reach the bridge itself and no other of them. Raises SandboxError."""
    try:
        ports = list((_INTERFACES / bridge / "brif").iterdir())
    except OSError as exc:
        raise _unavailable(f"the bridge {bridge} is gone") from exc
    if not ports:
        raise _unavailable(f"the sandbox is not on the bridge {bridge}")
    for port in ports:
        try:
            (port / "isolated").write_text("1\n")
        except OSError as exc:
            # Another sandbox's may end at this moment.
            if port.exists():
                raise _unavailable(f"{port} can't be kept from its neighbours ({exc.strerror})") from exc


def hide_resolver(pid: int, container_id: str) -> None:
    """Close Docker's own resolver in the network of a container.

    Args:
        pid: of its first process, as Docker tells it.
        container_id: what the process is checked to belong to.

    Raises:
        SandboxError: it is not on this host, has the host's network, or the rule can't be set.
    """
    if cgroup.find(pid, container_id) is None:
        raise _unavailable("the container's process is not seen on this host: is Docker on another machine?")
    space = Path(f"/proc/{pid}/ns/net")
    try:
        shared = space.samefile("/proc/self/ns/net")
    except OSError as exc:
        raise SandboxError(f"the sandbox ended before it had a network ({exc.strerror})") from exc
    if shared:
        raise _unavailable("the sandbox has the network of this worker")
    rule = ["-t", "raw", "-A", "OUTPUT", "-d", _DOCKERS_RESOLVER, "-j", "DROP"]
    run(["nsenter", f"--net={space}", "iptables", "-w", "10", *rule])


def _unavailable(why: str) -> SandboxError:
    return SandboxError(f"network egress is not available: {why}")


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None


def _write(path: Path) -> None:
    try:
        path.write_text("1\n")
    except OSError as exc:
        raise _unavailable(f"{path} can't be set ({exc.strerror})") from exc
