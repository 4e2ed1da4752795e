"""The command `faas` as users run it: from a shell, with a server, or in a terminal."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.cluster import PATIENCE, Cluster

FAAS = (sys.executable, "-m", "faas.cli")
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# A process that takes the terminal on its standard input for its own, so that Ctrl-C reaches it.
_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its standard output."""
        return json.loads(self.out)


class Shell:
    """Runs commands in a folder, against a platform.

    Args:
        folder: where; its own config file is there too.
    """

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **cluster.environment(),
            "FAAS_URL": cluster.url(),
            "FAAS_CONFIG": f"{folder / 'config.toml'}",
            "LANG": "C.UTF-8",
            "TERM": "xterm",
        }

    def install(self) -> str:
        """A PATH on which the command is by its name: whether it is installed is not the question."""
        programs = self.folder / "bin"
        programs.mkdir(exist_ok=True)
        (programs / "faas").write_text(f'#!/bin/sh\nexec {sys.executable} -m faas.cli "$@"\n')
        (programs / "faas").chmod(0o755)
        return f"{programs}:{self.environment['PATH']}"

    def faas(self, *arguments: str, stdin: str = "", **environment: str) -> Done:
        """Run `faas` to its end."""
        done = subprocess.run(
            (*FAAS, *arguments),
            cwd=self.folder,
            env={**self.environment, **environment},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str, stdin: str = "", **environment: str) -> Done:
        """The same, and it must succeed."""
        done = self.faas(*arguments, stdin=stdin, **environment)
        assert done.status == 0, (arguments, done)
        return done

    @contextlib.contextmanager
    def running(self, *arguments: str) -> Iterator[Running]:
        """`faas` while it runs; interrupted at the end."""
        with subprocess.Popen(
            (*FAAS, *arguments),
            cwd=self.folder,
            env={**self.environment, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            assert process.stdout is not None
            try:
                yield Running(process, process.stdout.fileno())
            finally:
                end(process)

    @contextlib.contextmanager
    def terminal(self, *command: str, rows: int = 40, columns: int = 100, **environment: str) -> Iterator[Running]:
        """A command in a terminal of its own."""
        master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        try:
            process = subprocess.Popen(
                (sys.executable, "-c", _TAKE_TERMINAL, *command),
                cwd=self.folder,
                env={**self.environment, **environment},
                stdin=slave,
                stdout=slave,
                stderr=slave,
                start_new_session=True,
            )
        finally:
            os.close(slave)
        with process:
            try:
                yield Running(process, master)
            finally:
                end(process)
                os.close(master)


class Running:
    """A running command, of which one reads and to which one may type."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self._process, self._descriptor = process, descriptor
        self.text = ""

    def expect(self, pattern: str, seconds: float = PATIENCE) -> re.Match[str]:
        """What matches in all that it has written so far, once it does. Escape sequences are left out."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.plain)):
            assert time.monotonic() < deadline, f"{pattern!r} is not in {self.plain!r}"
            if not self._read(0.2):
                found = re.search(pattern, self.plain)
                assert found, f"{pattern!r} is not in {self.plain!r}, and it has ended"
                return found
        return found

    def read(self) -> str:
        """What it has written so far, within the next moment."""
        self._read(0.5)
        return self.plain

    def type(self, text: str) -> None:
        """Type into its terminal."""
        os.write(self._descriptor, text.encode())

    def end(self) -> int:
        """Wait until it has ended; its status."""
        deadline = time.monotonic() + PATIENCE
        while self._read(0.2):
            assert time.monotonic() < deadline, self.plain
        return self._process.wait(PATIENCE)

    @property
    def plain(self) -> str:
        """What it has written, without escape sequences."""
        return _ESCAPES.sub("", self.text).replace("\r\n", "\n")

    def _read(self, seconds: float) -> bool:
        """Read what is there; False where nothing can come any more."""
        ready, _, _ = select.select([self._descriptor], [], [], seconds)
        if not ready:
            return True
        try:
            data = os.read(self._descriptor, 65536)
        except OSError as error:
            # So Linux tells that nobody has the terminal open any more.
            assert error.errno == errno.EIO
            return False
        self.text += data.decode(errors="replace")
        return bool(data)


def end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt a process as Ctrl-C does, and wait for it."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def same(text: str) -> str:
    """Output with what differs from run to run replaced: ids, digests, times."""
    text = _ID.sub("<id>", text)
    text = re.sub(r"sha256:[0-9a-f]{64}", "sha256:<digest>", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "<time>", text)
    text = re.sub(r"\+?\b(?:\d+ ms|\d+\.\d\d s|\d+m\d\ds)", "<ms>", text)
    text = re.sub(r"\b\d+[smhd]\b( ago)?", r"<age>\1", text)
    text = re.sub(r"\d+(\.\d)? (B|kB)\b", "<size>", text)
    return re.sub(r" +", " ", text)
