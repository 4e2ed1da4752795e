"""The Docker Engine's API: one client, and its errors in the platform's words."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import docker
import docker.errors
import requests
import urllib3

from faas.domain.function import Runtime
from faas.errors import SandboxError

BUILD_IMAGE = "faas-runtime-go-build"
_IMAGES = {runtime: f"faas-runtime-{runtime.value}" for runtime in Runtime}
# The library raises its own errors, those of requests, and now and then urllib3's through it.
_ERRORS = (docker.errors.DockerException, requests.RequestException, urllib3.exceptions.HTTPError, OSError)

# In the words of older and of newer Engines.
_NO_RUNTIME = re.compile(r"unknown (or invalid )?runtime", re.IGNORECASE)


def image_of(runtime: Runtime) -> str:
    """The image that a runtime's sandboxes are made of."""
    return _IMAGES[runtime]


def connect(timeout_s: int) -> docker.DockerClient:
    """A client for the Engine that Docker's own variables name (`DOCKER_HOST` …), else the local socket's.

    Args:
        timeout_s: the longest that any call waits for an answer.

    Raises:
        SandboxError: Docker does not answer.
    """
    with translated("reach Docker"):
        return docker.from_env(timeout=timeout_s, max_pool_size=32)


@contextlib.contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn the library's errors into `SandboxError`.

    Args:
        doing: what can't be done, for the message ("can't {doing}: …").
    """
    try:
        yield
    except docker.errors.ImageNotFound as exc:
        raise SandboxError(
            f"can't {doing}: an image of the runtimes is missing, run make build-runtime-images ({exc.explanation})"
        ) from exc
    except docker.errors.APIError as exc:
        if _NO_RUNTIME.search(exc.explanation or ""):
            raise SandboxError(
                f"can't {doing}: Docker has no such OCI runtime, register it or change WORKER_OCI_RUNTIME ({exc.explanation})"
            ) from exc
        raise SandboxError(f"can't {doing}: {exc.explanation or exc}") from exc
    except _ERRORS as exc:
        raise SandboxError(f"can't {doing}: Docker does not answer ({_short(exc)})") from exc


def available() -> str | None:
    """Why containers can't be used here, in half a sentence; None where they can."""
    try:
        client = connect(3)
    except SandboxError as exc:
        return str(exc)
    try:
        return next((reason for name in (*_IMAGES.values(), BUILD_IMAGE) if (reason := _missing(client, name))), None)
    except SandboxError as exc:
        return str(exc)
    finally:
        client.close()


def _missing(client: docker.DockerClient, name: str) -> str | None:
    with translated(f"look for the image {name}"):
        try:
            client.images.get(name)
        except docker.errors.ImageNotFound:
            return f"the image {name} is missing: run make build-runtime-images"
    return None


def _short(exc: BaseException) -> str:
    while exc.__cause__ is not None or exc.__context__ is not None:
        exc = exc.__cause__ or exc.__context__ or exc
    return " ".join(str(exc).split())[:200] or type(exc).__name__
