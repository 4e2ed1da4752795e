"""API keys as their users hold them: from the first key to the last, on a platform of its own, since a key closes it for everybody."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from e2e.cluster import LOOPBACK, PATIENCE, Cluster, eventually
from e2e.commands import Shell
from faas.cli.keys import keys
from faas.client import Client
from faas.embedded.ports import free_port
from faas.services.access import REMEMBERED_S

pytestmark = pytest.mark.timeout(400)
EXAMPLE_ID = "01977d2c-7f4e-7d3a-9b62-0e1b7c9a4d55"


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A platform that nobody else uses."""
    made = Cluster(tmp_path_factory.mktemp("keys"), "simple", controllers=2, workers=1, clocks=1)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_from_the_first_key_to_the_last(cluster: Cluster, tmp_path: Path) -> None:
    shell = Shell(cluster, tmp_path)
    assert shell.ok("keys", "ls").err == "No key was made: on its loopback address the server is open.\n"
    (tmp_path / "main.py").write_text("def handler(event, context):\n    return event\n")
    (tmp_path / "faas.toml").write_text('name = "echo"\nruntime = "python"\nhandler = "main.handler"\n')

    first = shell.ok("keys", "create", "operations", "--scope", "admin")
    admin = first.out.strip()
    assert "shown this once" in first.err
    # Closed from now on, at every controller soon.
    denied = shell.faas("ls")
    assert (denied.status, denied.out) == (6, "")
    assert "FAAS_API_KEY" in denied.err
    eventually(
        lambda: requests.get(f"{cluster.url('controller2')}/functions", timeout=PATIENCE).status_code == 401,
        "the other controller is closed",
        REMEMBERED_S + 30,
    )
    shell.environment["FAAS_API_KEY"] = admin

    deploying = shell.ok(
        "keys", "create", "deploy", "--scope", "functions:write", "--scope", "functions:read"
    ).out.strip()
    calling = shell.ok(
        "keys", "create", "billing", "--scope", "invoke", "--scope", "invocations:read", "--expires", "1h"
    )
    billing = calling.out.strip()
    shell.ok("deploy", FAAS_API_KEY=deploying)
    assert shell.faas("invoke", "echo", FAAS_API_KEY=deploying).status == 6
    assert shell.ok("invoke", "echo", "-d", '{"n": 1}', FAAS_API_KEY=billing).out.strip()
    assert shell.faas("rm", "echo", "--yes", FAAS_API_KEY=billing).status == 6
    with Client(cluster.url(), billing) as client:
        assert client.call("echo", {"n": 2}) == {"n": 2}
        assert list(client.map("echo", range(5))) == list(range(5))

    table = shell.ok("keys", "ls").out
    assert all(name in table for name in ("operations", "deploy", "billing", "good until", "ago"))
    assert not any(key in table for key in (admin, deploying, billing))
    listed = {key["name"]: key["id"] for key in shell.ok("keys", "ls", "--json").json}
    shell.ok("keys", "revoke", listed["billing"])
    eventually(lambda: shell.faas("ps", FAAS_API_KEY=billing).status == 6, "it is good no more")
    last = shell.faas("keys", "revoke", listed["operations"])
    assert (last.status, "last key" in last.err) == (1, True)

    # Who has lost his key makes one in the database.
    lost = {**shell.environment}
    del shell.environment["FAAS_API_KEY"]
    again = shell.ok("keys", "create", "found", "--scope", "admin", "--local").out.strip()
    shell.environment = lost
    assert shell.ok("ls", FAAS_API_KEY=again).out

    # No key is where a program's words, its log or the database could give it away.
    everything = "".join(cluster.log(part) for part in ("controller1", "controller2", "worker1", "clock1"))
    everything += "".join(cluster.processes()) + str(cluster.sql("SELECT k::text FROM api_keys k"))
    for key in (admin, deploying, billing, again):
        assert key.rpartition("_")[2] not in everything
    assert all(f'"action": "{action}"' in everything for action in ("keys.create", "keys.revoke", "functions.create"))


def test_the_examples_of_its_help_run(cluster: Cluster, tmp_path: Path) -> None:
    shell = Shell(cluster, tmp_path)
    examples = list(itertools.chain.from_iterable(command.examples for command in keys.commands.values()))  # type: ignore[attr-defined]
    assert len(examples) >= 4
    for example in examples:
        if EXAMPLE_ID in example:
            spare = shell.ok("keys", "create", "spare", "--scope", "invoke", "--json").json
            example = example.replace(EXAMPLE_ID, spare["id"])
        done = shell.ok(*example.split()[1:])
        shell.environment.setdefault("FAAS_API_KEY", done.out.strip())


def test_a_server_that_others_reach_does_not_start_without_a_key(cluster: Cluster, tmp_path: Path) -> None:
    program = cluster._program("controller1", ("gunicorn", "-c", "python:faas.web.gunicorn", "faas.web:create_app()"))
    port = free_port()
    environment = {**program.env, "SERVER_ADDR": f"0.0.0.0:{port}"}
    environment.pop("PORT")
    argv = (sys.executable, *program.argv[1:])
    refused = subprocess.run(argv, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert refused.returncode != 0
    assert "no API key was made" in refused.stderr.splitlines()[-1]
    assert "Traceback" not in refused.stderr

    key = Shell(cluster, tmp_path).ok("keys", "create", "operations", "--scope", "admin").out.strip()
    own = replace(program, env=environment, name="controller3")
    cluster._programs["controller3"] = own
    cluster.begin("controller3")
    url = f"http://{LOOPBACK}:{port}"

    def serves() -> bool:
        try:
            return requests.get(f"{url}/health/live", timeout=10).status_code == 200
        except requests.RequestException:
            return False

    eventually(serves, "it serves")
    assert requests.get(f"{url}/functions", timeout=PATIENCE).status_code == 401
    assert (
        requests.get(f"{url}/functions", headers={"Authorization": f"Bearer {key}"}, timeout=PATIENCE).status_code
        == 200
    )
