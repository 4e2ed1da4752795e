"""What talks to Docker: whatever a revision says, Docker is told the same, but for two numbers that are within bounds."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from sandbox_lab import invoke, revision

from faas.domain.function import Network, Runtime
from faas.errors import SandboxError
from faas.sandbox.container import ContainerEngine
from faas.sandbox.container_options import hardened
from faas.sandbox.engine import Engine, Owner, Sandbox

pytestmark = pytest.mark.container

SOURCE = "def handler(event, context):\n    return 'ran'\n"
# What would open a cage, were it heard anywhere.
GREEDY: dict[str, Any] = {
    "environment": {"privileged": "true", "image": "debian", "volumes": "/:/host", "DOCKER_HOST": "unix:///x", "network_mode": "host"},
    "metadata": {"privileged": True, "image": "debian", "volumes": {"/": "/host"}, "cap_add": ["ALL"], "runtime": "other"},
    "version": "--privileged",
}  # fmt: skip


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[ContainerEngine]:
    made = ContainerEngine(tmp_path / "work", Owner(f"launcher-{uuid.uuid4()}"))
    yield made
    made.close()


def told(sandbox: Sandbox) -> dict[str, Any]:
    """What Docker was told of a sandbox, without its id and what is counted up."""
    client = docker.from_env()
    try:
        attributes = client.api.inspect_container(f"faas-{sandbox.id}")
    finally:
        client.close()
    host, config = attributes["HostConfig"], attributes["Config"]
    for mount in host["Mounts"]:
        mount["Source"] = mount["Source"].replace(sandbox.id, "ID")
    labels = {name: value.replace(sandbox.id, "ID") for name, value in config["Labels"].items()}
    names = ("Image", "Entrypoint", "Cmd", "Env", "User", "WorkingDir", "Volumes", "ExposedPorts")
    return {"host": host, "labels": labels, **{name: config.get(name) for name in names}}


def test_no_word_of_a_revision_gets_to_docker(engine: ContainerEngine, tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "main.py").write_text(SOURCE)
    seen = []
    for spec in ({}, GREEDY):
        sandbox = engine.start(Runtime.PYTHON, Network.NONE)
        assert isinstance(sandbox.specialise(revision(Runtime.PYTHON, "main.handler", **spec), code, 60_000), int)
        assert invoke(sandbox, None).result == '"ran"'
        seen.append(told(sandbox))
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    "limits",
    [
        {"memory_mb": 1_000_000}, {"memory_mb": 0}, {"memory_mb": -1}, {"memory_mb": "4g"}, {"memory_mb": True}, {"memory_mb": 1e3},
        {"cpus": 0.0}, {"cpus": -1.0}, {"cpus": 1e9}, {"cpus": float("nan")}, {"cpus": float("inf")}, {"cpus": "8"},
    ],
    ids=str,
)  # fmt: skip
def test_numbers_out_of_bounds_get_to_nobody(engine: ContainerEngine, tmp_path: Path, limits: dict[str, Any]) -> None:
    given = {"memory_mb": 128, "cpus": 1.0, **limits}
    with pytest.raises(SandboxError, match="has to be"):
        hardened(name="x", labels={}, mounts=[], tmp_mb=1, **given)


def test_a_revision_out_of_bounds_does_not_get_a_sandbox(engine: ContainerEngine, tmp_path: Path) -> None:
    sandbox = engine.start(Runtime.PYTHON, Network.NONE)
    with pytest.raises(SandboxError, match="has to be from 1 to 4096 MB"):
        sandbox.specialise(revision(Runtime.PYTHON, "main.handler", memory_mb=1 << 20), tmp_path, 60_000)
    assert not sandbox.usable


def test_there_is_no_way_in_for_an_option_of_dockers() -> None:
    for function in (hardened, Engine.start, ContainerEngine.start, ContainerEngine.compile):
        kinds = {one.kind for one in inspect.signature(function).parameters.values()}
        assert not kinds & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}, function
    with pytest.raises(TypeError):
        hardened(name="x", labels={}, mounts=[], memory_mb=128, cpus=1.0, tmp_mb=1, privileged=True)  # type: ignore[call-arg]


@pytest.mark.parametrize("owner", ["../other", "", ".", "a/b", "a\0b"])
def test_an_owner_s_name_leads_out_of_no_folder(tmp_path: Path, owner: str) -> None:
    engine = ContainerEngine(tmp_path / "work", Owner(owner))
    with pytest.raises(SandboxError, match="can't name a folder"):
        engine.start(Runtime.PYTHON, Network.NONE)
    engine.close()


def test_another_oci_runtime_is_used_where_one_is_named(tmp_path: Path) -> None:
    # The full name of what is called `runc` for short, which every Engine knows.
    name = "io.containerd.runc.v2"
    engine = ContainerEngine(tmp_path / "work", Owner(f"oci-{uuid.uuid4()}"), oci_runtime=name)
    try:
        assert told(engine.start(Runtime.GO, Network.NONE))["host"]["Runtime"] == name
    finally:
        engine.close()


def test_an_oci_runtime_that_is_missing_is_said_so(tmp_path: Path) -> None:
    engine = ContainerEngine(tmp_path / "work", Owner(f"oci-{uuid.uuid4()}"), oci_runtime="faas-no-such-runtime")
    try:
        with pytest.raises(SandboxError, match=r"no such OCI runtime.*WORKER_OCI_RUNTIME.*faas-no-such-runtime"):
            engine.start(Runtime.PYTHON, Network.NONE)
    finally:
        engine.close()
    assert not list((tmp_path / "work").rglob("agent.sock"))
