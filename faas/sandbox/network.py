"""Network egress of containers: a bridge of the platform's own on each host, from which public addresses are reached and nothing else.

What keeps it so is in place before the network is there, is looked at before each start of a container, and is taken away after the network. Where it
can't be put in place, no container is started: never one with a wider network.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import docker
import docker.errors
from docker.models.containers import Container

from faas.errors import SandboxError
from faas.sandbox import network_bridge
from faas.sandbox.container_options import NetworkDoor
from faas.sandbox.docker_client import translated
from faas.sandbox.network_rules import Rules

PLATFORM_LABEL = "faas.platform"
# Shared while a container starts, exclusive while network and rules come and go: workers of one host must not undo each other's.
_LOCK = Path("/run/faas-egress.lock")
_BRIDGE = "com.docker.network.bridge"


class Egress:
    """The network of one platform on this host, made at the first use and removed by the last worker.

    Args:
        docker: gives the client of the Docker Engine.
        platform: the platform's id; its workers on a host share the network.
        resolvers: the addresses of the DNS servers that sandboxes ask; public ones, as no other can be reached.
        folder: where the sandboxes' `resolv.conf` lies.
    """

    def __init__(
        self, docker: Callable[[], docker.DockerClient], platform: str, resolvers: Sequence[str], folder: Path
    ) -> None:
        self.name = f"faas-egress-{platform}"
        # An interface's name has 15 characters at most.
        self.bridge = f"faas-{hashlib.sha256(platform.encode()).hexdigest()[:10]}"
        self._docker = docker
        self._labels = {PLATFORM_LABEL: platform}
        self._rules = Rules(self.bridge)
        self._resolvers = "".join(f"nameserver {address}\n" for address in resolvers) + "options timeout:2\n"
        self._file = folder / "resolv.conf"
        self._door = NetworkDoor(self.name, self._file)
        self._used = False

    @contextlib.contextmanager
    def open(self) -> Iterator[NetworkDoor]:
        """What puts a container into the network; it is to be started and sealed within the block, in which the network stays as it is.

        Raises:
            SandboxError: sandboxes could reach more than public addresses, or not be given the network at all.
        """
        self._used = True
        with _locked(fcntl.LOCK_SH):
            if self._in_place():
                yield self._door
                return
        with _locked(fcntl.LOCK_EX):
            self._set_up()
        with _locked(fcntl.LOCK_SH):
            if not self._in_place():
                raise SandboxError("network egress is not available: the rules of the host do not stay as they are set")
            yield self._door

    def seal(self, container: Container) -> None:
        """Close what only a started container has. Until then it runs the agent alone. Raises SandboxError."""
        with translated("look at a sandbox"):
            container.reload()
        network_bridge.hide_resolver(int(container.attrs["State"]["Pid"]), str(container.id))
        network_bridge.isolate(self.bridge)

    def close(self) -> None:
        """Remove network and rules, unless another worker uses them. Never raises."""
        if not self._used:
            return
        with contextlib.suppress(SandboxError, OSError), _locked(fcntl.LOCK_EX | fcntl.LOCK_NB):
            self._remove_network()
            self._rules.remove()
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)
            self._file.parent.rmdir()

    def _in_place(self) -> bool:
        return (
            self._rules.in_place()
            and self._is_ours()
            and network_bridge.has_no_ipv6(self.bridge)
            and _content(self._file) == self._resolvers
        )

    def _set_up(self) -> None:
        self._rules.put()
        if not self._is_ours():
            self._remove_network()
            with translated("make the network of sandboxes with egress"):
                self._docker().networks.create(self.name, **self._settings())
            # The host is part of one more network now.
            self._rules.put()
        network_bridge.refuse_ipv6(self.bridge)
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(self._resolvers)
            self._file.chmod(0o644)
        except OSError as exc:
            raise SandboxError(f"{self._file} can't be written: {exc.strerror}") from exc

    def _settings(self) -> dict[str, Any]:
        return {
            "driver": "bridge",
            "enable_ipv6": False,
            "labels": self._labels,
            "options": {
                f"{_BRIDGE}.name": self.bridge,
                f"{_BRIDGE}.enable_icc": "false",
                f"{_BRIDGE}.enable_ip_masquerade": "true",
            },
        }

    def _is_ours(self) -> bool:
        """Whether the network is there, as we make it."""
        with translated("look at the network of sandboxes with egress"):
            found = [one.attrs for one in self._docker().networks.list(names=[f"^{self.name}$"])]
        wanted = self._settings()
        return len(found) == 1 and (found[0]["Driver"], found[0]["EnableIPv6"], found[0]["Options"]) == (
            wanted["driver"],
            wanted["enable_ipv6"],
            wanted["options"],
        )

    def _remove_network(self) -> None:
        with translated("remove the network of sandboxes with egress"):
            for one in self._docker().networks.list(names=[f"^{self.name}$"]):
                one.remove()


@contextlib.contextmanager
def _locked(kind: int) -> Iterator[None]:
    try:
        descriptor = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as exc:
        raise SandboxError(
            f"network egress is not available: this worker can't set the rules of its host, which takes root ({_LOCK}: {exc.strerror})"
        ) from exc
    try:
        fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)


def _content(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None
