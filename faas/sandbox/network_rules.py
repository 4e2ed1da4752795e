"""What keeps sandboxes with network egress away from everything but public addresses: rules of the host's for what comes in from their bridge.

They are in the table `raw`, where a packet is before anything else has seen it: before Docker's own rules, before an address is translated, and
whether it is for this host or to be passed on. So one chain is enough, and a rule that accepts elsewhere can't open what it closes. Only an
address counts, never a name, so a name that resolves to a private address (DNS rebinding) leads nowhere.
"""

from __future__ import annotations

import ipaddress
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path

from faas.errors import SandboxError

# IANA's registry of special-purpose IPv4 addresses, what is not globally reachable, besides multicast and the old class E.
_RESERVED = tuple(map(ipaddress.IPv4Network, (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
    "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
)))  # fmt: skip
# Whatever is an address of this host's, public ones too, and the broadcast address of a network of its.
_KINDS = ("LOCAL", "BROADCAST")
_ROUTES = Path("/proc/net/route")
_ROUTE_UP, _ROUTE_GATEWAY = 0x1, 0x2
# A tunnel that takes half of the internet (0.0.0.0/1) is no network of this host's.
_SHORTEST_PREFIX = 8
_PROGRAMS = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
_TIMEOUT_S = 30
_WAIT = ("-w", "10")


class Rules:
    """The rules of one bridge. To be used under a lock of the host's, by root.

    Args:
        bridge: the interface.
        routes: the kernel's table of routes.
    """

    def __init__(self, bridge: str, *, routes: Path = _ROUTES) -> None:
        self._chain = bridge.upper()
        self._jump = f"-A PREROUTING -i {bridge} -j {self._chain}"
        self._routes = routes

    def in_place(self) -> bool:
        """Whether each rule stands as it should, before all others. Raises SandboxError where that can't be known."""
        listed = self._listed()
        first = next((line for line in listed if line.startswith("-A PREROUTING ")), None)
        return first == self._jump and [line for line in listed if self._is_own(line)] == self._wanted()

    def put(self) -> None:
        """Put them in place, whatever is there of them: at one go, so that at no time a part is missing. Raises SandboxError."""
        jumps = self._listed().count(self._jump)
        self._change(
            f":{self._chain} - [0:0]",
            *self._wanted(),
            *[self._jump.replace("-A", "-D", 1)] * jumps,
            self._jump.replace("-A PREROUTING", "-I PREROUTING 1", 1),
        )

    def remove(self) -> None:
        """Remove them, where there are any. Raises SandboxError."""
        listed = self._listed()
        if f"-N {self._chain}" in listed:
            jumps = [self._jump.replace("-A", "-D", 1)] * listed.count(self._jump)
            self._change(*jumps, f"-F {self._chain}", f"-X {self._chain}")

    def _wanted(self) -> list[str]:
        own = [network for network in _own_networks(self._routes) if not any(network.subnet_of(r) for r in _RESERVED)]
        return [
            *(f"-A {self._chain} -m addrtype --dst-type {kind} -j DROP" for kind in _KINDS),
            *(f"-A {self._chain} -d {network} -j DROP" for network in (*_RESERVED, *own)),
        ]

    def _is_own(self, line: str) -> bool:
        return line.startswith(f"-A {self._chain} ")

    def _listed(self) -> list[str]:
        return run(["iptables", *_WAIT, "-t", "raw", "-S"]).splitlines()

    def _change(self, *lines: str) -> None:
        run(["iptables-restore", *_WAIT, "--noflush"], "\n".join(("*raw", *lines, "COMMIT", "")))


def _own_networks(routes: Path) -> list[ipaddress.IPv4Network]:
    """The networks that this host is part of, in order: what it reaches without a gateway."""
    try:
        lines = routes.read_text().splitlines()[1:]
    except OSError as exc:
        raise SandboxError(
            f"network egress is not available: the host's routes can't be read ({exc.strerror})"
        ) from exc
    found = set()
    for fields in map(str.split, lines):
        flags, destination, mask = int(fields[3], 16), _address(fields[1]), _address(fields[7])
        network = ipaddress.IPv4Network(f"{destination}/{mask}")
        if flags & _ROUTE_UP and not flags & _ROUTE_GATEWAY and network.prefixlen >= _SHORTEST_PREFIX:
            found.add(network)
    return list(ipaddress.collapse_addresses(found))


def _address(little_endian: str) -> str:
    return socket.inet_ntoa(struct.pack("=I", int(little_endian, 16)))


def run(command: Iterable[str], text: str = "") -> str:
    """Run one of the system's programs; what it printed.

    Args:
        command: the program's name, which is looked for where the system's are, and its arguments.
        text: its standard input.

    Raises:
        SandboxError: it is not there, failed or took too long; says that egress is not available, and why.
    """
    name, *arguments = command
    program = shutil.which(name, path=_PROGRAMS)
    if program is None:
        raise SandboxError(f"network egress is not available: {name} is not installed on this worker")
    try:
        done = subprocess.run(
            [program, *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            env={"PATH": _PROGRAMS},
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise SandboxError(f"network egress is not available: {name} can't be run on this worker ({exc})") from exc
    if done.returncode != 0:
        words = " ".join(done.stderr.split())[:300]
        raise SandboxError(
            f"network egress is not available: this worker can't set the rules of its host, which takes root ({name}: {words})"
        )
    return done.stdout
