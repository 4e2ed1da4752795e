"""Network egress: public addresses are reached, and nothing else. The outside world is a network namespace of the test's own."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from network_outside import FORBIDDEN, METADATA, PUBLIC, RESOLVER, Outside
from sandbox_lab import invoke, revision

from faas.domain.function import Network, Runtime
from faas.errors import SandboxError
from faas.sandbox.container import ContainerEngine
from faas.sandbox.engine import Owner, Sandbox
from faas.sandbox.network import Egress
from faas.sandbox.network_rules import Rules

pytestmark = [
    pytest.mark.container,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="rules of the host take root"),
    pytest.mark.skipif(shutil.which("ip") is None, reason="the outside world is made with iproute2"),
]

PROBE = """
import os, socket, threading

def connect(address, port, seconds):
    try:
        with socket.create_connection((address, port), seconds) as connection:
            return connection.recv(100).decode()
    except OSError as error:
        return type(error).__name__

def datagram(address, text):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.sendto(text, (address, 53))
            sock.settimeout(2)
            return sock.recv(1000).hex()
        except OSError as error:
            return type(error).__name__

def ask(name):
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return b"\\x12\\x34\\x01\\x00\\x00\\x01" + bytes(6) + labels + b"\\x00\\x00\\x01\\x00\\x01"

def serve(server):
    while True:
        server.accept()[0].close()

def handler(event, context):
    found = {}
    def put(key, work, *arguments):
        found[key] = work(*arguments)
    threads = []
    for address, port in event.get("connect", []):
        threads.append(threading.Thread(target=put, args=(f"{address}:{port}", connect, address, port, event["seconds"])))
    for address in event.get("datagrams", []):
        threads.append(threading.Thread(target=put, args=(address, datagram, address, b"x")))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for address, name in event.get("ask", []):
        found[f"{name}@{address}"] = datagram(address, ask(name))
    for name in event.get("resolve", []):
        try:
            found[name] = socket.gethostbyname(name)
        except OSError as error:
            found[name] = type(error).__name__
    if event.get("serve"):
        # It listens before the answer is given.
        threading.Thread(target=serve, args=(socket.create_server(("0.0.0.0", 8000)),), daemon=True).start()
    if event.get("files"):
        return {path: open(path).read() if os.path.exists(path) else "" for path in event["files"]}
    return found
"""


class World:
    """An engine whose sandboxes have egress into `outside`, one of which probes while another is its neighbour."""

    def __init__(self, folder: Path, outside: Outside) -> None:
        self.platform = f"test{secrets.token_hex(4)}"
        self.outside = outside
        self.folder = folder
        self.code = folder / "code"
        self.code.mkdir()
        (self.code / "main.py").write_text(PROBE)
        self.engine = ContainerEngine(
            folder / "work", Owner(f"egress.{self.platform}.1"), platform=self.platform, resolvers=[RESOLVER]
        )
        self.egress = Egress(docker.from_env, self.platform, [RESOLVER], folder / "work")

    def start(self, network: Network = Network.EGRESS) -> Sandbox:
        """A sandbox with the probe loaded."""
        sandbox = self.engine.start(Runtime.PYTHON, network)
        loaded = sandbox.specialise(revision(Runtime.PYTHON, "main.handler"), self.code, 60_000)
        assert isinstance(loaded, int), loaded
        return sandbox


def probe(sandbox: Sandbox, **event: Any) -> dict[str, str]:
    outcome = invoke(sandbox, {"seconds": 2, **event}, 90_000)
    assert outcome.result is not None, outcome
    found = json.loads(outcome.result)
    assert isinstance(found, dict)
    return found


@contextlib.contextmanager
def docker_client() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    try:
        yield client
    finally:
        client.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    outside = Outside()
    try:
        made = World(tmp_path_factory.mktemp("egress"), outside)
        try:
            made.engine.start(Runtime.PYTHON, Network.EGRESS).close()
            with docker_client() as client:
                subnet = client.networks.get(made.egress.name).attrs["IPAM"]["Config"][0]["Subnet"]
            outside.lead_in(subnet, made.egress.bridge)
            yield made
        finally:
            made.engine.close()
        with docker_client() as client:
            assert client.networks.list(names=[made.egress.name]) == []
        assert made.egress.bridge.upper() not in raw_rules()
    finally:
        outside.close()


@pytest.fixture(scope="module")
def sandbox(world: World) -> Sandbox:
    return world.start()


def raw_rules() -> str:
    return subprocess.run(
        ["iptables", "-w", "10", "-t", "raw", "-S"], check=True, capture_output=True, text=True
    ).stdout


def address_of(sandbox: Sandbox) -> str:
    with docker_client() as client:
        networks = client.containers.get(f"faas-{sandbox.id}").attrs["NetworkSettings"]["Networks"]
    (one,) = networks.values()
    return str(one["IPAddress"])


def test_public_addresses_are_reached_and_their_names_resolved(world: World, sandbox: Sandbox) -> None:
    world.outside.came()
    found = probe(sandbox, connect=[(PUBLIC, 80)], resolve=["public.example"], seconds=30)
    assert found == {f"{PUBLIC}:80": "hello", "public.example": PUBLIC}
    assert {f"tcp {PUBLIC}", "dns public.example"} <= set(world.outside.came())


def test_no_private_or_reserved_address_hears_of_a_sandbox(world: World, sandbox: Sandbox) -> None:
    world.outside.came()
    found = probe(sandbox, connect=[(address, 80) for address in FORBIDDEN], datagrams=FORBIDDEN)
    assert len(found) == 2 * len(FORBIDDEN)
    assert "hello" not in found.values()
    assert world.outside.came() == []


def test_a_public_name_of_a_private_address_leads_nowhere(world: World, sandbox: Sandbox) -> None:
    assert probe(sandbox, resolve=["rebinds.example"])["rebinds.example"] == METADATA
    world.outside.came()
    assert probe(sandbox, connect=[("rebinds.example", 80)])["rebinds.example:80"] != "hello"
    assert [line for line in world.outside.came() if line.startswith("tcp")] == []


def test_the_host_is_not_reached_at_any_of_its_addresses(world: World, sandbox: Sandbox) -> None:
    addresses = host_addresses()
    assert any(address.endswith(".0.1") for address in addresses), "the bridge's own is among them"
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        found = probe(sandbox, connect=[(address, port) for address in addresses])
        # The only one that waits there is this one: what listens could have been met.
        with socket.create_connection(("127.0.0.1", port), 30) as own:
            server.settimeout(30)
            connection, peer = server.accept()
            connection.close()
            assert peer == own.getsockname()
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.accept()
    assert set(found.values()) <= {"TimeoutError", "ConnectionRefusedError"}


def host_addresses() -> list[str]:
    listed = subprocess.run(["ip", "-4", "-o", "address"], check=True, capture_output=True, text=True).stdout
    return [line.split()[3].partition("/")[0] for line in listed.splitlines()]


def test_neighbours_do_not_reach_each_other_nor_learn_of_each_other(world: World, sandbox: Sandbox) -> None:
    neighbour = world.start()
    try:
        probe(neighbour, serve=True)
        assert probe(neighbour, connect=[("127.0.0.1", 8000)], seconds=30) == {"127.0.0.1:8000": ""}
        address = address_of(neighbour)
        assert probe(sandbox, connect=[(address, 8000)])[f"{address}:8000"] in ("TimeoutError", "OSError")
        name = f"faas-{neighbour.id}"
        found = probe(sandbox, ask=[("127.0.0.11", name)], resolve=[name, f"{name}.{world.egress.name}"])
        assert found.pop(f"{name}@127.0.0.11") in ("TimeoutError", "PermissionError")
        assert set(found.values()) == {"gaierror"}
        # Nor below IP, where its rules don't count.
        ports = Path(f"/sys/class/net/{world.egress.bridge}/brif")
        assert {(port / "isolated").read_text().strip() for port in ports.iterdir()} == {"1"}
    finally:
        neighbour.close()


def test_there_is_no_ipv6(sandbox: Sandbox) -> None:
    found = probe(sandbox, files=["/proc/net/if_inet6"])
    assert [line for line in found["/proc/net/if_inet6"].splitlines() if not line.endswith(" lo")] == []


def test_without_egress_nothing_is_reached_public_or_not(world: World) -> None:
    closed = world.start(Network.NONE)
    world.outside.came()
    try:
        targets = [(address, 80) for address in (PUBLIC, RESOLVER, *FORBIDDEN, *host_addresses())]
        found = probe(closed, connect=targets, datagrams=[PUBLIC, RESOLVER, *FORBIDDEN], resolve=["public.example"])
        assert set(found.values()) <= {"OSError", "ConnectionRefusedError", "TimeoutError", "gaierror"}
        assert world.outside.came() == []
    finally:
        closed.close()


def test_rules_that_somebody_took_away_are_back_before_the_next_start(world: World, sandbox: Sandbox) -> None:
    rules = Rules(world.egress.bridge)
    assert rules.in_place()
    rules.remove()
    assert not rules.in_place()
    # Nothing else keeps a sandbox away: so the other tests say something.
    assert probe(sandbox, connect=[("10.0.0.1", 80)], seconds=30) == {"10.0.0.1:80": "hello"}
    world.engine.start(Runtime.PYTHON, Network.EGRESS).close()
    assert rules.in_place()
    world.outside.came()
    assert probe(sandbox, connect=[("10.0.0.1", 80)])["10.0.0.1:80"] != "hello"
    assert world.outside.came() == []


@pytest.mark.parametrize(
    "change",
    [
        ["-D", "{chain}", "-d", "10.0.0.0/8", "-j", "DROP"],
        ["-I", "{chain}", "-j", "RETURN"],
        ["-I", "PREROUTING", "-i", "{bridge}", "-j", "ACCEPT"],
        ["-D", "PREROUTING", "-i", "{bridge}", "-j", "{chain}"],
    ],
)
def test_a_change_of_the_rules_is_noticed_and_undone(world: World, change: list[str]) -> None:
    bridge = world.egress.bridge
    rules = Rules(bridge)
    rules.put()
    words = [word.format(bridge=bridge, chain=bridge.upper()) for word in change]
    subprocess.run(["iptables", "-w", "10", "-t", "raw", *words], check=True)
    try:
        assert not rules.in_place()
        rules.put()
        assert rules.in_place()
        assert raw_rules().count(f"-i {bridge} -j {bridge.upper()}") == 1
    finally:
        subprocess.run(
            ["iptables", "-w", "10", "-t", "raw", "-D", "PREROUTING", "-i", bridge, "-j", "ACCEPT"], capture_output=True
        )


def test_a_wider_network_of_the_same_name_is_never_used(world: World, tmp_path: Path) -> None:
    platform = f"test{secrets.token_hex(4)}"
    engine = ContainerEngine(tmp_path, Owner(f"wide.{platform}.1"), platform=platform)
    name = Egress(docker.from_env, platform, [], tmp_path).name
    with docker_client() as client:
        wide = client.networks.create(name, driver="bridge")
        user = client.containers.run("faas-runtime-go", entrypoint=["sleep", "300"], network=name, detach=True)
        try:
            with pytest.raises(SandboxError, match="active endpoints"):
                engine.start(Runtime.PYTHON, Network.EGRESS)
            assert client.containers.list(all=True, filters={"label": f"faas.owner=wide.{platform}.1"}) == []
        finally:
            user.remove(force=True)
            engine.close()
            with contextlib.suppress(docker.errors.NotFound):
                wide.remove()
    assert platform not in raw_rules()


def test_a_worker_that_may_not_set_rules_says_so(tmp_path: Path) -> None:
    egress = Egress(docker.from_env, "none", [RESOLVER], tmp_path)
    os.seteuid(65534)
    try:
        with pytest.raises(SandboxError, match=r"network egress is not available.*takes root"), egress.open():
            pytest.fail("a sandbox would be started")
    finally:
        os.seteuid(0)


def test_the_network_stays_while_another_worker_uses_it(world: World, sandbox: Sandbox, tmp_path: Path) -> None:
    other = ContainerEngine(tmp_path, Owner(f"other.{world.platform}.2"), platform=world.platform, resolvers=[RESOLVER])
    try:
        other.start(Runtime.PYTHON, Network.EGRESS)
    finally:
        other.close()
    assert Rules(world.egress.bridge).in_place()
    assert probe(sandbox, connect=[(PUBLIC, 80)], seconds=30) == {f"{PUBLIC}:80": "hello"}
