"""Secrets on a running platform: functions have them, and a search of everything else finds none."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from e2e.cluster import WITH_ONE_ENGINE, Cluster, eventually
from e2e.commands import Shell
from faas.services.vault import new_key

pytestmark = pytest.mark.timeout(400)

# Each tells that it has the value without telling the value, and waits where it is asked to.
SOURCES = {
    "python": """
import hashlib, os, time

def handler(event, context):
    time.sleep(event.get("sleep", 0))
    return hashlib.sha256(os.environ["PASSWORD"].encode()).hexdigest()
""",
    "nodejs": """
const { createHash } = require("node:crypto");

exports.handler = async (event) => {
  await new Promise((done) => setTimeout(done, 1000 * (event.sleep || 0)));
  return createHash("sha256").update(process.env.PASSWORD).digest("hex");
};
""",
    "go": """package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

func main() {
	var event struct{ Sleep float64 }
	json.NewDecoder(os.Stdin).Decode(&event)
	time.Sleep(time.Duration(event.Sleep * float64(time.Second)))
	fmt.Printf("%x", sha256.Sum256([]byte(os.Getenv("PASSWORD"))))
}
""",
}
FAILS = "import os\n\nos.environ['PASSWORD']\n\ndef handler(event, context):\n    raise ValueError('no')\n"


@pytest.fixture
def name(cluster: Cluster) -> Iterator[str]:
    """The name of a secret; it is removed when the functions of the test are."""
    made = f"secret-{secrets.token_hex(4)}"
    yield made
    cluster.tidy()
    assert cluster.call("DELETE", f"/secrets/{made}").status_code in (204, 404)


def digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def put(cluster: Cluster, name: str, value: str) -> None:
    answer = cluster.call("PUT", f"/secrets/{name}", json={"value": value})
    assert answer.status_code in (200, 201), answer.text


def test_a_search_of_everything_finds_no_secret(cluster: Cluster, name: str, tmp_path: Path) -> None:
    value = secrets.token_hex(24)
    Shell(cluster, tmp_path).ok("secrets", "set", name, stdin=f"{value}\n")
    # The programs of the simple engine take long to compile, and get their environment in the same way.
    runtimes = [one for one in SOURCES if one != "go" or cluster.engine == "container"]
    functions = [cluster.deploy(SOURCES[one], one, secrets={"PASSWORD": name}) for one in runtimes]
    for function in functions:
        assert cluster.invoke(function)["result"] == digest(value)
    broken = cluster.invoke(cluster.deploy(FAILS, secrets={"PASSWORD": name}))
    assert broken["error"]["type"] == "ValueError"
    running = [cluster.submit(function, {"sleep": 8}) for function in functions]
    for one in running:
        cluster.running(one)

    needle = value.encode()
    assert not list(processes_with(needle))
    assert not list(files_with(cluster.root, needle))
    assert needle not in dump(cluster)
    assert needle not in broker(cluster)
    if cluster.engine == "container":
        assert needle not in inspected(cluster)
    answers = ["/secrets", "/functions", "/invocations", "/metrics", "/openapi.json"]
    answers += [f"/functions/{one}" for one in functions]
    for one in [*running, broken["id"]]:
        answers += [f"/invocations/{one}", f"/invocations/{one}/events", f"/invocations/{one}/logs"]
    for path in answers:
        assert value not in cluster.call("GET", path).text, path
    for one in running:
        assert cluster.wait(one)["result"] == digest(value)


def test_the_search_finds_what_is_there(cluster: Cluster) -> None:
    """Else the test above would show nothing."""
    value = secrets.token_hex(24)
    function = cluster.deploy(environment={"PLAIN": value})
    running = cluster.submit(function, {"sleep": 5})
    cluster.running(running)
    needle = value.encode()
    assert needle in dump(cluster)
    eventually(lambda: list(files_with(cluster.root / "postgres", needle)), "PostgreSQL has written it")
    assert next(processes_with(cluster.secrets_key.encode())) > 0
    if cluster.engine == "container":
        assert b"faas.owner" in inspected(cluster)


@pytest.mark.parametrize("runtime", ["python", "nodejs"])
def test_what_is_invoked_after_a_change_has_the_new_value(cluster: Cluster, name: str, runtime: str) -> None:
    put(cluster, name, "first")
    function = cluster.deploy(SOURCES[runtime], runtime, secrets={"PASSWORD": name})
    for value in ("first", "second", "third"):
        put(cluster, name, value)
        # The sandboxes of the value before are warm.
        assert [cluster.invoke(function)["result"] for _ in range(3)] == [digest(value)] * 3


@WITH_ONE_ENGINE
def test_a_worker_without_the_key_fails_the_call_and_says_why(cluster: Cluster, name: str) -> None:
    put(cluster, name, "value")
    function = cluster.deploy(SOURCES["python"], secrets={"PASSWORD": name})
    cluster.sql("UPDATE secrets SET key_id = 'another' WHERE name = %s", name)
    record = cluster.invoke(function)
    assert record["error"]["type"] == "Platform.SandboxError"
    assert "FAAS_SECRETS_KEY" in record["error"]["message"]
    put(cluster, name, "value")
    assert cluster.invoke(function)["result"] == digest("value")


@WITH_ONE_ENGINE
def test_the_commands(cluster: Cluster, name: str, tmp_path: Path) -> None:
    shell = Shell(cluster, tmp_path)
    key = shell.ok("secrets", "keygen").out.strip()
    assert len(key) == len(new_key())
    assert "version 1" in shell.ok("secrets", "set", name, stdin="value\n").out
    function = cluster.deploy(SOURCES["python"], secrets={"PASSWORD": name})
    assert cluster.invoke(function)["result"] == digest("value")
    listed = {one["name"]: one for one in shell.ok("secrets", "ls", "--json").json}
    assert len(listed[name]["functions"]) == 1
    assert name in shell.ok("secrets", "ls").out
    assert shell.faas("secrets", "rm", name).status == 1
    assert shell.faas("secrets", "set", name).status == 2
    # Encrypted anew, and back again: the workers of this platform have the first key alone.
    both = f"{key},{cluster.secrets_key}"
    assert shell.ok("secrets", "rotate", "--json", FAAS_SECRETS_KEY=both).json["rotated"] >= 1
    back = f"{cluster.secrets_key},{key}"
    assert shell.ok("secrets", "rotate", "--json", FAAS_SECRETS_KEY=back).json["rotated"] >= 1
    assert cluster.invoke(function)["result"] == digest("value")


def processes_with(needle: bytes) -> Iterator[int]:
    """Processes of the whole host that show it in their words or variables. A Go program in a sandbox is left out: its environment is where it gets it."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words, variables = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
        except OSError:
            continue
        if needle in words or (needle in variables and b"\0FAAS_INVOCATION_ID=" not in b"\0" + variables):
            yield int(entry.name)


def files_with(folder: Path, needle: bytes) -> Iterator[Path]:
    """Files that hold it: logs, code, sandboxes, and PostgreSQL's own."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place) / name
            try:
                if path.is_file() and needle in path.read_bytes():
                    yield path
            except OSError:
                continue


def dump(cluster: Cluster) -> bytes:
    """All rows of all tables as text."""
    tables = cluster.sql(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY relname"
    )
    rows = [cluster.sql(f'SELECT t::text FROM "{table}" t') for (table,) in tables]
    return json.dumps(rows).encode()


def broker(cluster: Cluster) -> bytes:
    """All that Redis has."""
    with redis.Redis.from_url(cluster.redis_url) as client:
        return b"".join(key + (client.dump(key) or b"") for key in client.scan_iter())


def inspected(cluster: Cluster) -> bytes:
    """`docker inspect`, the logs and the processes of this platform's containers."""
    import docker

    client = docker.from_env(timeout=60)
    found = []
    try:
        for container_id, _ in cluster.containers():
            try:
                found.append(json.dumps(client.api.inspect_container(container_id)).encode())
                found.append(client.api.logs(container_id))
                found.append(json.dumps(client.api.top(container_id)).encode())
            except docker.errors.APIError:
                # It left meanwhile.
                continue
    finally:
        client.close()
    return b"".join(found)
