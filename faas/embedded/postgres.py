"""PostgreSQL from the wheel: a cluster in a folder, served on a loopback port and a socket file, with a password of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from faas.embedded import wheels
from faas.embedded.account import Account, service_account
from faas.embedded.ports import LOOPBACK, free_port
from faas.embedded.process import Program, run
from faas.errors import PlatformError

DATABASE = "faas"
_USER = "postgres"
_MAKING_SECONDS = 120.0
_LEAVING_SECONDS = 20.0
# Enough for the pools of a controller and of a worker with 32 threads.
_MAX_CONNECTIONS = 200
_SOCKET_PATH_BYTES = 107


@dataclass(frozen=True, slots=True)
class Server:
    """A cluster that is ready to be started.

    Attributes:
        program: serves it.
        url: where, over TCP.
        near_url: where for processes of this machine and account: a socket file, which takes a third less of both ends' time than TCP does.
            `url` where there can be none.
    """

    program: Program
    url: str
    near_url: str


def prepare(folder: Path, log: Path) -> Server:
    """Make the cluster where it isn't there yet, and choose a port.

    Args:
        folder: gets `data/` (the cluster), `password` and `run/`.
        log: where the programs' output goes.

    Raises:
        PlatformError: it can't be made, or another server still works on it.
    """
    data = folder / "data"
    folder.mkdir(parents=True, exist_ok=True)
    # Where the servers start in; empty and open, so that each account may stand there.
    cwd = folder / "run"
    cwd.mkdir(exist_ok=True)
    account = service_account(data if data.exists() else folder)
    password = _password(folder / "password")
    if not (data / "PG_VERSION").exists():
        _make(data, account, log, cwd, folder / "password")
    elif account is not None and data.stat().st_uid != account.uid:
        account.own(data)
    _await_predecessor(data)
    port = free_port()
    near = _takes_socket(data, port)
    login = f"postgresql://{_USER}:{password}@"
    url = f"{login}{LOOPBACK}:{port}/{DATABASE}"
    return Server(
        _server(data, account, log, cwd, port, near=near),
        url,
        f"{login}/{DATABASE}?host={quote(f'{data}', safe='')}&port={port}" if near else url,
    )


def _takes_socket(data: Path, port: int) -> bool:
    """Whether a socket file can lie in the folder: the kernel takes 107 bytes for its path, and lists of folders are written with commas."""
    return len(os.fsencode(data / f".s.PGSQL.{port}")) <= _SOCKET_PATH_BYTES and not set(',"') & set(f"{data}")


def _make(data: Path, account: Account | None, log: Path, cwd: Path, password: Path) -> None:
    """Make the cluster in a folder beside it, and move it into place whole: a start that is cut off leaves no half of one."""
    draft = data.with_name("data.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    if account is not None:
        account.own(draft)
    programs = wheels.postgres_programs()
    initdb = (
        f"{programs / 'initdb'}", "-D", f"{draft}", "-U", _USER, f"--pwfile={password}", "--auth=scram-sha-256",
        "--encoding=UTF8", "--locale=C", "--no-instructions",
    )  # fmt: skip
    run(Program("initdb", initdb, _environment(), log, cwd, account=account), _MAKING_SECONDS)
    create = draft / "create.sql"
    create.write_text(f"CREATE DATABASE {DATABASE};\n")
    single = (
        "/bin/sh",
        "-c",
        'exec "$0" --single -D "$1" postgres < "$2"',
        f"{programs / 'postgres'}",
        f"{draft}",
        f"{create}",
    )
    run(Program("postgres --single", single, _environment(), log, cwd, account=account), _MAKING_SECONDS)
    create.unlink()
    draft.rename(data)


def _server(data: Path, account: Account | None, log: Path, cwd: Path, port: int, *, near: bool) -> Program:
    settings = {
        "listen_addresses": LOOPBACK,
        # In the cluster's own folder, which nobody but its account (and root) may enter.
        "unix_socket_directories": f"{data}" if near else "",
        # Writes and waits in one call where `fdatasync` takes two: a tenth less time for a commit, which is as durable.
        "wal_sync_method": "open_datasync",
        "max_connections": f"{_MAX_CONNECTIONS}",
        # With the default a first connection of each pool would cost the hashing of 4096 rounds; the password has 192 random bits.
        "scram_iterations": "1",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    argv = [f"{wheels.postgres_programs() / 'postgres'}", "-D", f"{data}", "-p", f"{port}"]
    for name, value in settings.items():
        argv += ["-c", f"{name}={value}"]
    return Program(
        "postgres",
        tuple(argv),
        _environment(),
        log,
        cwd,
        ready=lambda: _answers(port),
        # Ends its connections and writes a checkpoint; without it, it would wait for its clients. On our death there is no time for
        # that: it leaves at once, and recovers at the next start.
        stop_signal=signal.SIGINT,
        death_signal=signal.SIGQUIT,
        stop_seconds=10.0,
        account=account,
    )


def _environment() -> dict[str, str]:
    """Nothing of ours: variables of libpq or of the locale would change what the servers do."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def _password(file: Path) -> str:
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        pass
    password = secrets.token_hex(24)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(password)
    return password


def _answers(port: int) -> bool:
    """Whether the server takes logins: to a start-up message it answers `R` (prove who you are) then, and `E` while it recovers
    (PostgreSQL's manual, "Message Formats")."""
    words = f"user\0{_USER}\0database\0{DATABASE}\0\0".encode()
    try:
        with socket.create_connection((LOOPBACK, port), timeout=2) as connection:
            connection.sendall(struct.pack("!ii", 8 + len(words), 3 << 16) + words)
            return connection.recv(1) == b"R"
    except OSError:
        return False


def _await_predecessor(data: Path) -> None:
    """Wait for a server of a run that was killed, which is leaving; take away its socket file, and the pid file that names a process of another kind.

    PostgreSQL itself would believe any process of its own account that got the number, and refuse to start.
    """
    deadline = time.monotonic() + _LEAVING_SECONDS
    while _serves(data):
        if time.monotonic() > deadline:
            raise PlatformError(f"another PostgreSQL server works on {data}")
        time.sleep(0.1)
    (data / "postmaster.pid").unlink(missing_ok=True)
    for left in data.glob(".s.PGSQL.*"):
        left.unlink()


def _serves(data: Path) -> bool:
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return False
    return os.fsencode(data) in words
