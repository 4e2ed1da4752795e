"""PostgreSQL refuses to run as root. Root starts it under an unprivileged account instead, and nothing on the machine is changed for it:
no account is made, and no folder's mode is opened (a checkout in /root stays closed)."""

from __future__ import annotations

import ctypes
import os
import pwd
import struct
from dataclasses import dataclass
from pathlib import Path

from faas.errors import PlatformError

# Present on the systems that we know, the better one first.
_NAMES = ("postgres", "nobody")
_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_KEEPCAPS = 8
_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP = 28, 1 << 2
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 47, 2
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_OVERRIDE = 1


@dataclass(frozen=True, slots=True)
class Account:
    """An account to run a program as."""

    uid: int
    gid: int

    def assume(self) -> None:
        """Become it, for good. Only the right to pass through closed folders is kept, since program and data may lie in one.

        Called between fork and exec; raises OSError.
        """
        os.setgroups([])
        os.setresgid(self.gid, self.gid, self.gid)
        _LIBC.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
        # Else access(2), by which initdb looks for its programs, would count no capability of an account that is not root.
        _LIBC.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
        os.setresuid(self.uid, self.uid, self.uid)
        _keep(1 << _CAP_DAC_OVERRIDE)
        # Without it the start still succeeds where nothing is in the way.
        _LIBC.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)

    def own(self, folder: Path) -> None:
        """Make the folder and all in it the account's."""
        for path in (folder, *folder.rglob("*")):
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def service_account(folder: Path) -> Account | None:
    """The account for a server whose data lie in `folder`; None where we are not root and no other is needed.

    Raises:
        PlatformError: there is no unprivileged account on this machine.
    """
    if os.geteuid() != 0:
        return None
    owner = folder.stat()
    if owner.st_uid != 0 and _known(owner.st_uid):
        return Account(owner.st_uid, owner.st_gid)
    for name in _NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise PlatformError(
        "PostgreSQL does not run as root, and there is no account 'postgres' or 'nobody': run as a plain user"
    )


def _known(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _keep(mask: int) -> None:
    """Keep these capabilities alone (capset of version 3: two words of effective, permitted and inheritable)."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    _LIBC.capset(header, struct.pack("=6I", mask, mask, mask, 0, 0, 0))
