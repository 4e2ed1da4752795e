"""A Docker daemon of the suite's own: it can be restarted and killed without harm to anybody else's containers.

It shares nothing with the machine's daemon: data, state, socket and containerd's namespace are its own, and so is its network: a daemon that is told
to have no bridge removes `docker0` wherever it runs. It has the runtime images that the machine's daemon has.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker

from faas.embedded.process import Child, Program

IMAGES = ("faas-runtime-python",)
START_SECONDS = 90.0
_NAME = "faas-faults"
# What runs the containers. As long as the file `broken` lies beside it, Docker makes containers that can't be started.
_RUNTIME = """#!/bin/sh
[ -e "${0%/*}/broken" ] && case " $* " in *" create "*) echo "broken on purpose" >&2; exit 1;; esac
exec runc "$@"
"""


class Dockerd:
    """The daemon. Make and start it from a thread that lives as long as it does.

    Args:
        folder: gets its data and its socket; a short path, since a socket's may not be longer than 107 bytes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"unix://{folder / 'docker.sock'}"
        self.program = Program(
            "dockerd",
            (
                "unshare",
                "--net",
                "dockerd",
                f"--data-root={folder / 'data'}",
                f"--exec-root={folder / 'run'}",
                f"--host={self.url}",
                f"--pidfile={folder / 'pid'}",
                f"--add-runtime={_NAME}={folder / 'runtime'}",
                f"--default-runtime={_NAME}",
                f"--containerd-namespace={_NAME}",
                f"--containerd-plugins-namespace={_NAME}-plugins",
                "--bridge=none",
                "--iptables=false",
                "--ip6tables=false",
                "--ip-forward=false",
                "--ip-masq=false",
                "--shutdown-timeout=5",
            ),
            {"PATH": os.environ.get("PATH", os.defpath), "HOME": f"{folder}"},
            folder / "log",
            folder,
            ready=lambda: answers(self.url),
            stop_seconds=60.0,
        )

    def write_runtime(self) -> None:
        """Make what the daemon runs containers with."""
        runtime = self.folder / "runtime"
        runtime.write_text(_RUNTIME)
        runtime.chmod(0o755)

    @contextlib.contextmanager
    def no_start(self) -> Iterator[None]:
        """Meanwhile containers are made, and none can be started."""
        broken = self.folder / "broken"
        broken.touch()
        try:
            yield
        finally:
            broken.unlink()

    @contextlib.contextmanager
    def no_image(self, client: docker.DockerClient) -> Iterator[None]:
        """Meanwhile the daemon does not know the runtime images by their names.

        Args:
            client: of this daemon.
        """
        for name in IMAGES:
            client.images.get(name).tag(f"{name}-kept")
            client.images.remove(name)
        try:
            yield
        finally:
            for name in IMAGES:
                client.images.get(f"{name}-kept").tag(name)
                client.images.remove(f"{name}-kept")

    def copy_images(self) -> None:
        """Take the runtime images over from the machine's daemon."""
        with subprocess.Popen(["docker", "save", *IMAGES], stdout=subprocess.PIPE) as source:
            subprocess.run(
                ["docker", "--host", self.url, "load", "--quiet"],
                stdin=source.stdout,
                stdout=subprocess.DEVNULL,
                check=True,
                timeout=300,
            )

    def remove(self) -> None:
        """Remove its data, when it has stopped. One that was killed leaves mounts behind, and what containerd started for its containers."""
        mark = os.fsencode(f"{self.folder}/run/containerd/")
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (entry / "cmdline").read_bytes():
                    os.kill(int(entry.name), signal.SIGKILL)
        for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
            place = line.split()[4]
            if place.startswith(f"{self.folder}/"):
                subprocess.run(["umount", "--lazy", place], check=False, timeout=60)
        shutil.rmtree(self.folder, ignore_errors=True)


def answers(url: str) -> bool:
    """Whether the daemon at a URL serves."""
    asked = subprocess.run(
        ["docker", "--host", url, "version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60
    )
    return asked.returncode == 0


def start(folder: Path) -> tuple[Dockerd, Child] | None:
    """A running daemon with the images; None where this account may not have one, or the machine can't."""
    if os.geteuid() != 0 or shutil.which("dockerd") is None or shutil.which("docker") is None:
        return None
    daemon = Dockerd(folder)
    daemon.write_runtime()
    child = Child(daemon.program)
    try:
        child.wait_ready(START_SECONDS)
        daemon.copy_images()
    except BaseException as error:
        child.stop()
        daemon.remove()
        if isinstance(error, Exception):
            print(f"no daemon of the suite's own: {error}")
            return None
        raise
    return daemon, child
