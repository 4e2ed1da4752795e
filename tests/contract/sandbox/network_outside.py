"""An outside world for sandboxes with network egress: a network namespace that owns whatever address they may look for. Nothing leaves the machine.

Packets that come from the sandboxes' own subnet are led into it by a table of routes of their own, which has no other way out; the machine's own
traffic goes its way as before. A program in there accepts connections on port 80 of each address, answers names on port 53, and tells of all that came.
"""

from __future__ import annotations

import queue
import secrets
import subprocess
import sys
import threading
import time
from pathlib import Path

# One that is public and that nobody listens at: of the servers that swallow reverse look-ups of private addresses (RFC 7535).
PUBLIC, RESOLVER = "192.31.196.10", "192.31.196.53"
METADATA = "169.254.169.254"
FORBIDDEN = [
    METADATA, "169.254.170.2", "10.0.0.1", "10.255.255.254", "172.16.0.1", "172.31.255.254", "192.168.0.1", "192.168.255.254", "100.64.0.1",
    "100.100.100.200", "0.1.2.3", "192.0.0.192", "192.0.2.77", "192.88.99.1", "198.19.0.1", "198.51.100.1", "203.0.113.1", "240.0.0.1",
]  # fmt: skip
NAMES = {"public.example": PUBLIC, "rebinds.example": METADATA}
_PROGRAM = Path(__file__).with_name("network_listener.py")


def ip(*arguments: str) -> str:
    """The program `ip`."""
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


class Outside:
    """The namespace, up until `close`."""

    def __init__(self) -> None:
        name = secrets.token_hex(4)
        self.name, self._outer, self._inner = f"faas-{name}", f"fo{name}", f"fi{name}"
        # Of the range for tests of network devices (RFC 2544), and a table of its own.
        number = secrets.randbelow(1 << 14)
        self._host, self._world = (f"198.18.{number >> 6}.{(number & 63) * 4 + n}" for n in (1, 2))
        self._table = str(100_000 + number)
        self._rules: list[list[str]] = []
        self._process: subprocess.Popen[str] | None = None
        self._said: queue.Queue[str] = queue.Queue()
        self._reader: threading.Thread | None = None
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def _make(self) -> None:
        ip("netns", "add", self.name)
        ip("link", "add", self._outer, "type", "veth", "peer", "name", self._inner, "netns", self.name)
        ip("address", "add", f"{self._host}/30", "dev", self._outer)
        ip("link", "set", self._outer, "up")
        ip("-n", self.name, "address", "add", f"{self._world}/30", "dev", self._inner)
        ip("-n", self.name, "link", "set", self._inner, "up")
        ip("-n", self.name, "link", "set", "lo", "up")
        for address in (PUBLIC, RESOLVER, *FORBIDDEN):
            # As routes and not as addresses: the kernel lets nobody have some of them.
            ip("-n", self.name, "route", "add", "local", f"{address}/32", "dev", "lo")
        names = [f"{name}={address}" for name, address in NAMES.items()]
        command = ["ip", "netns", "exec", self.name, sys.executable, "-I", "-S", str(_PROGRAM), *names]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._said.get(timeout=60) == "ready"

    def lead_in(self, subnet: str, bridge: str) -> None:
        """Make this the outside world of a subnet of sandboxes."""
        ip("route", "add", "unreachable", "default", "metric", "4000000", "table", self._table)
        ip("route", "add", "default", "via", self._world, "dev", self._outer, "table", self._table)
        ip("route", "add", subnet, "dev", bridge, "table", self._table)
        rule = ["from", subnet, "lookup", self._table]
        ip("rule", "add", *rule)
        self._rules.append(rule)

    def came(self) -> list[str]:
        """What has come since it was last asked: `tcp ADDRESS`, `udp ADDRESS`, `dns NAME`."""
        # What is on its way in there takes its moment.
        time.sleep(0.3)
        found = []
        while not self._said.empty():
            found.append(self._said.get())
        return found

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.put(line.strip())

    def close(self) -> None:
        """Take all of it away."""
        for rule in self._rules:
            subprocess.run(["ip", "rule", "delete", *rule], capture_output=True)
        subprocess.run(["ip", "route", "flush", "table", self._table], capture_output=True)
        if self._process is not None and self._reader is not None:
            self._process.kill()
            self._process.wait()
            self._reader.join()
            assert self._process.stdout is not None
            self._process.stdout.close()
        # The pair of interfaces goes with the namespace.
        subprocess.run(["ip", "link", "delete", self._outer], capture_output=True)
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True)
