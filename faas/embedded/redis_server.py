"""Redis from the wheel, on a loopback port, with a password of its own.

It keeps nothing on disk: what is in Redis is only a hint (docs/architecture.md).
"""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

from faas.embedded import wheels
from faas.embedded.ports import LOOPBACK, free_port
from faas.embedded.process import Program


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is ready to be started: `program` serves at `url`."""

    program: Program
    url: str


def prepare(folder: Path, log: Path) -> Server:
    """Write the configuration, and choose a port and a password.

    Args:
        folder: gets `redis.conf`.
        log: where the server's output goes.

    Raises:
        PlatformError: there is no redis-server.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port, password = free_port(), secrets.token_hex(24)
    settings = {
        "port": f"{port}",
        "bind": LOOPBACK,
        "requirepass": password,
        "save": '""',
        "appendonly": "no",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    # A file, since every user of the machine sees the arguments of a process.
    file = folder / "redis.conf"
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.writelines(f"{name} {value}\n" for name, value in settings.items())
    program = Program(
        "redis",
        (f"{wheels.redis_program()}", f"{file}"),
        {"PATH": os.defpath, "LC_ALL": "C"},
        log,
        folder,
        ready=lambda: _answers(port, password),
    )
    return Server(program, f"redis://:{password}@{LOOPBACK}:{port}/0")


def _answers(port: int, password: str) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=2) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            return connection.makefile("rb").readline() == b"+OK\r\n"
    except OSError:
        return False
