"""What `faas doctor` says of the walls that Docker makes: what each means, and where it is told how to have it."""

from __future__ import annotations

import pwd
from collections.abc import Iterator
from typing import TYPE_CHECKING

from faas.cli.checks import FAIL, OK, WARN, Finding

if TYPE_CHECKING:
    from faas.sandbox.isolation import Isolation

_SANDBOX_UID = 10001
_HOW = "docs/security-sandbox.md tells how"


def findings(found: Isolation) -> Iterator[Finding]:
    """Each wall."""
    yield _runtime(found)
    yield _users(found)
    yield _root(found)
    if not found.seccomp:
        yield Finding(
            "system calls",
            WARN,
            "Docker filters none (seccomp): more of the kernel can be reached",
            "start it without seccomp=unconfined",
        )


def _runtime(found: Isolation) -> Finding:
    name, check = found.oci_runtime, "OCI runtime"
    if found.known_runtimes and name not in found.known_runtimes:
        known = ", ".join(sorted(found.known_runtimes))
        return Finding(
            check,
            FAIL,
            f"Docker does not know {name}, so no invocation can run",
            f"register it, or set WORKER_OCI_RUNTIME to one of {known}",
        )
    if found.own_kernel:
        return Finding(check, OK, f"{name}: sandboxes have a kernel of their own")
    return Finding(
        check,
        OK,
        f"{name}: sandboxes share this host's kernel, so keep it patched; gVisor would give them their own ({_HOW})",
    )


def _users(found: Isolation) -> Finding:
    check = "user namespaces"
    if found.userns or found.rootless:
        return Finding(check, OK, "a sandbox's users are ids that no account of this host has")
    account = _account(_SANDBOX_UID)
    if account is not None:
        return Finding(
            check,
            WARN,
            f"not remapped, and a sandbox's user {_SANDBOX_UID} is this host's account {account}",
            f"give the account another id, or remap ({_HOW})",
        )
    return Finding(
        check, OK, f"not remapped: a sandbox's user is the id {_SANDBOX_UID}, which no account here has ({_HOW})"
    )


def _root(found: Isolation) -> Finding:
    check = "rootless Docker"
    if found.rootless:
        return Finding(
            check,
            WARN,
            "yes: a break-out gets one account and not root; functions can't have network egress",
            "none where no function needs it",
        )
    return Finding(check, OK, "no: who may speak to Docker's socket is as good as root, and network egress is possible")


def _account(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None
