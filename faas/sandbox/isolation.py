"""What Docker itself puts between a sandbox and the host, as `docker info` tells it: for `faas doctor`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from faas.errors import SandboxError
from faas.sandbox.docker_client import connect, translated

# As `SecurityOptions` of `docker info` has them.
_USERNS, _ROOTLESS, _SECCOMP = "userns", "rootless", "seccomp"


@dataclass(frozen=True, slots=True)
class Isolation:
    """What an Engine does.

    Attributes:
        oci_runtime: what runs the sandboxes; `known_runtimes` are those that may.
        userns: whether a container's users are ids that no account of the host has.
        rootless: whether the Engine runs without root.
        seccomp: whether system calls are filtered.
    """

    oci_runtime: str
    known_runtimes: frozenset[str]
    userns: bool
    rootless: bool
    seccomp: bool

    @property
    def own_kernel(self) -> bool:
        """Whether the runtime is known to put another kernel than the host's between: gVisor, Kata."""
        return self.oci_runtime.startswith(("runsc", "kata"))


def inspect(oci_runtime: str) -> Isolation | None:
    """What the Engine of this machine does; None where none answers.

    Args:
        oci_runtime: the configured one; the Engine's default where it is empty.
    """
    try:
        client = connect(3)
    except SandboxError:
        return None
    try:
        with translated("ask Docker about itself"):
            return isolation_of(client.info(), oci_runtime)
    except SandboxError:
        return None
    finally:
        client.close()


def isolation_of(info: Mapping[str, Any], oci_runtime: str) -> Isolation:
    """The same, out of the answer of `docker info`."""
    options = {}
    for option in info.get("SecurityOptions") or ():
        words = dict(word.partition("=")[::2] for word in option.split(","))
        options[words.get("name", option)] = words
    return Isolation(
        oci_runtime or info.get("DefaultRuntime") or "runc",
        frozenset(info.get("Runtimes") or ()),
        _USERNS in options,
        _ROOTLESS in options,
        options.get(_SECCOMP, {}).get("profile", "unconfined") != "unconfined",
    )
