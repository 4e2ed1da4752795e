"""Go's compiler in a container with a sandbox's hardening. The sources are a stranger's: what the compiler reads can't be trusted, nor what it makes."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import docker
import docker.errors
import requests
from docker.models.containers import Container
from docker.types import Mount, Ulimit

from faas.errors import SandboxError
from faas.sandbox import exchange, gobuild
from faas.sandbox.container_options import DEADLINE_LABEL, Command, bind, hardened
from faas.sandbox.docker_client import BUILD_IMAGE, translated

# Kept between builds, and shared by all: the compiler runs nothing of what it compiles (no C compiler, no generators, no other toolchain),
# so one build can't put into the cache what another would run.
_CACHE_VOLUME, _CACHE = "faas-go-cache", "/cache"
_SOURCE, _MADE = "/source", "/made"
_MEMORY_MB, _CPUS = 2048, 2.0
_PROGRAM_BYTES = 512 * 1024 * 1024
_KILLED = 137
# What the compiler says goes to a file: the container has no log. `$@` is the command.
_SCRIPT = 'exec "$@" >"$0" 2>&1'


class Compiler:
    """Compiles in containers.

    Args:
        client: of the Docker Engine.
        labels: the containers' owner.
        folder: where the owner's folders lie, so that a dead worker's go with the rest.
        oci_runtime: see `hardened`.
    """

    def __init__(
        self, client: docker.DockerClient, labels: Mapping[str, str], folder: Path, *, oci_runtime: str = ""
    ) -> None:
        self._client = client
        self._labels = labels
        self._folder = folder
        self._oci_runtime = oci_runtime

    def compile(self, source: Path, output: Path, timeout_s: float) -> str | None:
        """See `Engine.compile`."""
        try:
            with exchange.scratch(self._folder) as scratch:
                targets = gobuild.prepare(source, scratch / "source")
                made = scratch / "made"
                made.mkdir()
                made.chmod(0o777)
                said = self._run(scratch, targets, timeout_s)
                if said is None:
                    output.parent.mkdir(parents=True, exist_ok=True)
                    _take(made / "program", output)
                return said
        except OSError as exc:
            raise SandboxError(f"the compiler can't be run: {exc.strerror or exc}") from exc

    def _run(self, scratch: Path, targets: list[str], timeout_s: float) -> str | None:
        with self._container(scratch, targets, timeout_s) as container:
            status = _wait(container, timeout_s)
        if status is None:
            return f"The compiler did not end within {timeout_s:g} s."
        if status == 0:
            return None
        if status == _KILLED:
            return f"The compiler was killed: it needs more than {_MEMORY_MB} MB of memory."
        return gobuild.words(_read(scratch / "made" / "words"))

    @contextlib.contextmanager
    def _container(self, scratch: Path, targets: list[str], timeout_s: float) -> Iterator[Container]:
        options = hardened(
            name=f"faas-{scratch.name}",
            labels={**self._labels, DEADLINE_LABEL: str(round(time.time() + timeout_s))},
            mounts=[
                bind(scratch / "source", _SOURCE, read_only=True),
                bind(scratch / "made", _MADE, read_only=False),
                Mount(target=_CACHE, source=_CACHE_VOLUME, type="volume"),
            ],
            memory_mb=_MEMORY_MB,
            cpus=_CPUS,
            tmp_mb=1024,
            limits=[Ulimit(name="fsize", soft=_PROGRAM_BYTES, hard=_PROGRAM_BYTES)],
            command=Command(
                entrypoint=["/bin/sh", "-c", _SCRIPT, f"{_MADE}/words"],
                arguments=gobuild.command("go", f"{_MADE}/program", targets),
                environment=gobuild.environment(scratch / "source", cache=_CACHE, home="/tmp"),  # noqa: S108  # inside of the container
                working_dir=_SOURCE,
            ),
            oci_runtime=self._oci_runtime,
        )
        with translated("start the Go compiler"):
            container = self._client.containers.create(BUILD_IMAGE, **options)
            try:
                container.start()
                yield container
            finally:
                container.remove(force=True, v=True)


def _wait(container: Container, timeout_s: float) -> int | None:
    """The exit status; None where it took too long."""
    try:
        return int(container.wait(timeout=timeout_s)["StatusCode"])
    except requests.exceptions.Timeout:
        return None
    except requests.exceptions.ConnectionError as exc:
        # How requests tells of a time-out in mid-answer.
        if "timed out" in str(exc):
            return None
        raise


def _read(path: Path) -> bytes:
    with contextlib.suppress(OSError), _regular(path) as descriptor:
        return os.read(descriptor, gobuild.WORDS_BYTES + 1)
    return b""


def _take(made: Path, output: Path) -> None:
    # Whole or not at all, also where another process makes the same.
    temporary = output.with_name(f".{output.name}-{uuid.uuid4().hex}")
    try:
        with _regular(made) as descriptor, os.fdopen(os.dup(descriptor), "rb") as program, temporary.open("xb") as copy:
            shutil.copyfileobj(program, copy, 1 << 20)
        temporary.chmod(0o755)
        temporary.replace(output)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _regular(path: Path) -> Iterator[int]:
    """A descriptor of a plain file that a container wrote. What a container wrote may be a link to anywhere, or a FIFO that never ends."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SandboxError(f"the compiler made something that is no file: {path.name}")
        yield descriptor
    finally:
        os.close(descriptor)
