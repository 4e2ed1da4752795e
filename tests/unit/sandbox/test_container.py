"""What only containers promise: isolation, limits, and nothing left behind. The rest is the engines' contract (tests/contract/sandbox)."""

import gc
import json
import socket
import threading
import time
import uuid
from pathlib import Path

import docker
import pytest

from faas.domain.function import Network, Revision, Runtime, Spec
from faas.domain.outcome import Outcome
from faas.errors import SandboxError
from faas.sandbox.body import Death
from faas.sandbox.call import Call
from faas.sandbox.container import ContainerEngine, available
from faas.sandbox.container_body import ContainerBody
from faas.sandbox.docker_client import image_of, translated
from faas.sandbox.engine import Owner

pytestmark = pytest.mark.container

# What a function can find out about its own cage.
LOOK = """
import json, os, resource, socket, subprocess

def attempt(work):
    try:
        work()
        return "done"
    except OSError as error:
        return error.strerror

def write(path):
    return attempt(lambda: open(path, "w").close())

def handler(event, context):
    status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
    return {
        "ids": [os.getuid(), os.geteuid(), os.getgid(), os.getgroups()],
        "capabilities": [status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
        "no_new_privileges": status["NoNewPrivs"],
        "seccomp": status["Seccomp"],
        "writes": {path: write(path) for path in ("/x", "/etc/x", "/opt/faas/agent.py", "/faas/x", "/faas/code/x", "main.py", "/tmp/x", "/dev/shm/x")},
        "unlink": attempt(lambda: os.unlink("main.py")),
        "interfaces": [name for _, name in socket.if_nameindex()],
        "connects": attempt(lambda: socket.create_connection(("1.1.1.1", 53), 2)),
        "mount": attempt(lambda: os.chroot("/")),
        "environment": dict(os.environ),
        "files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "folder": os.getcwd(),
        "home": sorted(os.listdir("/faas")),
        "exec": subprocess.run(["sh", "-c", "cp /bin/true /tmp/t && /tmp/t && echo ran"], capture_output=True, text=True).stdout,
    }
"""


@pytest.fixture(scope="module")
def name():
    """Of this run's worker: other runs may share the Docker Engine."""
    return f"unit-{uuid.uuid4()}"


@pytest.fixture(scope="module")
def work_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def engine(work_dir, name):
    made = ContainerEngine(work_dir, Owner(name))
    yield made
    made.close()


@pytest.fixture(scope="module")
def client():
    made = docker.from_env()
    yield made
    made.close()


def start(engine: ContainerEngine, folder: Path, source: str, **spec):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "main.py").write_text(source)
    sandbox = engine.start(Runtime.PYTHON, Network.NONE)
    revision = Revision("f", "look", 1, Spec(Runtime.PYTHON, "main.handler", **spec), "sha256:0", "sha256:0")
    loaded = sandbox.specialise(revision, folder, 20_000)
    assert isinstance(loaded, int), loaded
    return sandbox


def call(sandbox, payload: object = None, timeout_ms: int = 20_000) -> Outcome:
    return sandbox.invoke(Call("01890000-0000-7000-8000-000000000000", json.dumps(payload), {}, timeout_ms))


def result(sandbox, payload: object = None):
    outcome = call(sandbox, payload)
    assert outcome.failure is None, outcome
    return json.loads(outcome.result)


def containers(client, **labels: str) -> list:
    filters = [f"faas.{name}={value}" for name, value in labels.items()]
    return client.containers.list(all=True, ignore_removed=True, filters={"label": filters})


def eventually(condition, seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture(scope="module")
def looking(engine, tmp_path_factory):
    sandbox = start(engine, tmp_path_factory.mktemp("look"), LOOK, memory_mb=96, cpus=0.5)
    yield sandbox
    sandbox.close()


@pytest.fixture(scope="module")
def seen(looking):
    return result(looking)


@pytest.fixture(scope="module")
def options(looking, client):
    return client.api.inspect_container(f"faas-{looking.id}")


def test_it_runs_as_a_user_of_no_rights(seen):
    assert seen["ids"] == [10001, 10001, 10001, [10001]] or seen["ids"] == [10001, 10001, 10001, []]
    assert set(seen["capabilities"]) == {"0000000000000000"}
    assert seen["no_new_privileges"] == "1"
    assert seen["seccomp"] == "2"
    assert seen["mount"] == "Operation not permitted"


def test_it_writes_to_its_temporary_folders_alone(seen):
    refused = {path: answer for path, answer in seen["writes"].items() if answer != "done"}
    assert set(seen["writes"]) - set(refused) == {"/tmp/x", "/dev/shm/x"}
    assert set(refused.values()) <= {"Read-only file system", "Permission denied"}
    assert seen["unlink"] == "Read-only file system"
    assert seen["exec"] == "ran\n"


def test_it_reaches_no_network(seen):
    assert seen["interfaces"] == ["lo"]
    assert seen["connects"] == "Network is unreachable"


def test_it_sees_its_code_and_nothing_of_the_platform(seen):
    assert seen["folder"] == "/faas/code"
    assert set(seen["home"]) <= {"code", "stdout", "stderr", "agent.sock"}
    assert not [
        name
        for name in seen["environment"]
        if name.startswith(("DATABASE", "REDIS", "DB_", "STORAGE", "WORKER", "AWS_SECRET"))
    ]
    assert seen["files"] == [1024, 1024]


def test_docker_was_told_all_that_the_design_lists(options, looking, name):
    host, config = options["HostConfig"], options["Config"]
    assert host["NetworkMode"] == "none"
    assert host["ReadonlyRootfs"] is True
    assert host["Privileged"] is False
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert [one.split(":")[0].split("=")[0] for one in host["SecurityOpt"]] == ["no-new-privileges"]
    assert host["PidsLimit"] == 256
    assert host["Memory"] == host["MemorySwap"] > 0
    assert host["CpuQuota"] > 0
    assert {limit["Name"]: limit["Hard"] for limit in host["Ulimits"]} == {"nofile": 1024, "core": 0}
    assert "size=64m" in host["Tmpfs"]["/tmp"]
    assert "nr_inodes=" in host["Tmpfs"]["/tmp"]
    assert host["LogConfig"]["Type"] == "none"
    assert host["IpcMode"] == "private"
    assert host["Init"] is True
    assert not host["Binds"]
    assert not host["Devices"]
    assert [(mount["Destination"], mount["RW"]) for mount in options["Mounts"]] == [("/faas", False)]
    assert config["User"] == "10001:10001"
    assert config["Labels"]["faas.owner"] == name
    assert config["Labels"]["faas.sandbox"] == looking.id


def test_processes_are_bounded(engine, tmp_path):
    source = "import os, time\n\ndef handler(event, context):\n    count = 0\n    try:\n        while count < 1000:\n            if os.fork() == 0:\n                time.sleep(60)\n                os._exit(0)\n            count += 1\n    except OSError:\n        pass\n    return count\n"
    sandbox = start(engine, tmp_path, source, memory_mb=1024)
    try:
        assert 100 < result(sandbox) < 256
        assert not sandbox.usable, "processes of an earlier call are still there"
    finally:
        sandbox.close()


def test_its_disk_is_bounded(engine, tmp_path):
    source = "def handler(event, context):\n    count = 0\n    try:\n        if event == 'files':\n            while True:\n                open(f'/tmp/{count}', 'w').close()\n                count += 1\n        with open('/tmp/big', 'wb', buffering=0) as file:\n            while True:\n                count += file.write(bytes(1 << 20)) >> 20\n    except OSError as error:\n        return [error.strerror, count]\n"
    sandbox = start(engine, tmp_path, source, memory_mb=256)
    try:
        reason, megabytes = result(sandbox, "bytes")
        assert (reason, megabytes) == ("No space left on device", 64)
        reason, files = result(sandbox, "files")
        assert reason == "No space left on device"
        assert files < 8192
    finally:
        sandbox.close()


HOG = "def handler(event, context):\n    kept = [b'x' * (1 << 20) for _ in range(event)]\n    return len(kept)\n"


@pytest.fixture(params=["through the control group", "through Docker"])
def body_and_client(request, client, tmp_path):
    """A container of the runtime's image, on a host whose control groups can be seen and on one where they can't."""
    container = client.containers.create(
        image_of(Runtime.PYTHON),
        ["-c", "import sys, time; sys.stdout.write('.'); time.sleep(600)"],
        entrypoint=["python3"],
        network_mode="none",
        init=True,
        mem_limit="256m",
        memswap_limit="256m",
        cpu_quota=100_000,
    )
    threads: list[threading.Thread] = []

    def background(work):
        threads.append(threading.Thread(target=work))
        threads[-1].start()

    container.start()
    arguments = {} if request.param == "through the control group" else {"find_group": lambda _pid, _id: None}
    body = ContainerBody(container, Runtime.PYTHON, background, **arguments)
    yield body, container
    body.kill()
    body.remove()
    for thread in threads:
        thread.join()
    with pytest.raises(docker.errors.NotFound):
        client.containers.get(container.id)


def test_a_body_is_limited_killed_and_its_end_known(body_and_client):
    body, _ = body_and_client
    assert body.death(0) is None
    body.limit(64, 0.5)
    assert body.death(0.2) is None
    body.kill()
    body.kill()
    assert body.death(30) == Death(signal=9)
    assert body.death(0) == Death(signal=9)


def test_what_a_body_can_not_know_it_says_so(body_and_client):
    body, container = body_and_client
    body.reset_peak()
    assert body.oom_kills() == 0
    count, peak = body.processes(), body.memory_peak_mb()
    assert count is None or count >= 1
    assert peak is None or 0 < peak < 256
    container.remove(force=True)
    assert body.death(30) is not None
    body.kill()


def test_the_functions_memory_is_the_limit(engine, tmp_path):
    sandbox = start(engine, tmp_path, HOG, memory_mb=64)
    try:
        outcome = call(sandbox, 20)
        assert outcome.result == "20"
        assert outcome.memory_peak_mb is None or 20 < outcome.memory_peak_mb <= 64
        outcome = call(sandbox, 500)
        assert outcome.failure.type == "Function.OutOfMemory", outcome
        assert not sandbox.usable
    finally:
        sandbox.close()


def test_memory_above_the_generic_limit_is_given(engine, tmp_path):
    sandbox = start(engine, tmp_path, HOG, memory_mb=512)
    try:
        assert result(sandbox, 350) == 350
    finally:
        sandbox.close()


@pytest.mark.parametrize("folder", ["the same folder", "a folder of its own"])
def test_another_worker_removes_a_dead_ones(engine, client, tmp_path, work_dir, folder):
    gone = f"dead-{uuid.uuid4()}"
    dead = ContainerEngine(work_dir if folder == "the same folder" else tmp_path / "work", Owner(gone))
    sandbox = start(dead, tmp_path / "code", "def handler(event, context):\n    while True:\n        pass\n")
    caller = threading.Thread(target=call, args=(sandbox,))
    caller.start()
    try:
        assert gone in engine.leftovers()
        assert engine.remove_leftovers(gone) >= 1
        assert containers(client, owner=gone) == []
        assert gone not in engine.leftovers()
        assert engine.remove_leftovers(gone) == 0
    finally:
        caller.join()
        dead.close()


def test_only_the_named_workers_are_removed(engine, looking):
    assert engine.remove_leftovers(f"other-{uuid.uuid4()}") == 0
    assert looking.usable


def test_close_leaves_nothing(client, tmp_path):
    owner = f"closing-{uuid.uuid4()}"
    made = ContainerEngine(tmp_path, Owner(owner))
    sandboxes = [made.start(Runtime.PYTHON, Network.NONE), made.start(Runtime.NODEJS, Network.NONE)]
    sandboxes[0].close()
    made.close()
    made.close()
    assert containers(client, owner=owner) == []
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == []
    assert not sandboxes[1].usable


def test_a_sandbox_closed_by_itself_is_gone_soon(engine, client):
    sandbox = engine.start(Runtime.GO, Network.NONE)
    sandbox.close()
    assert eventually(lambda: not containers(client, sandbox=sandbox.id))


def test_a_missing_image_is_named(client):
    with pytest.raises(SandboxError, match="faas-runtime-absent") as caught, translated("make a sandbox"):
        client.containers.create("faas-runtime-absent")
    assert "make build-runtime-images" in str(caught.value)


def test_containers_are_available_here():
    assert available() is None


@pytest.fixture
def leaky():
    """The library leaves a socket that could not connect to the collector."""
    yield
    gc.collect()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("leaky")
def test_no_docker_is_said_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    reason = available()
    assert "Docker does not answer" in reason
    assert "\n" not in reason
    engine = ContainerEngine(tmp_path, Owner("w"))
    with pytest.raises(SandboxError, match="Docker does not answer"):
        engine.start(Runtime.PYTHON, Network.NONE)
    engine.close()
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == []


def test_a_docker_that_hangs_is_given_up_on(monkeypatch, tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "d.sock"))
        listener.listen(5)
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/d.sock")
        engine = ContainerEngine(tmp_path / "work", Owner("w"), docker_timeout_s=1)
        with pytest.raises(SandboxError, match="Docker does not answer"):
            engine.start(Runtime.PYTHON, Network.NONE)
        engine.close()


def test_go_is_compiled_and_nothing_is_left(engine, client, tmp_path, work_dir, name):
    source = tmp_path / "source"
    source.mkdir()
    (source / "main.go").write_text('package main\n\nimport "fmt"\n\nfunc main() { fmt.Print(1) }\n')
    assert engine.compile(source, tmp_path / "out" / "main", timeout_s=150) is None
    assert (tmp_path / "out" / "main").read_bytes().startswith(b"\x7fELF")
    (source / "main.go").write_text("package main\n\nfunc main() { absent() }\n")
    assert "undefined: absent" in engine.compile(source, tmp_path / "out" / "other", timeout_s=150)
    assert not (tmp_path / "out" / "other").exists()
    assert "did not end within" in engine.compile(source, tmp_path / "out" / "other", timeout_s=0.01)
    assert not [one for one in containers(client, owner=name) if "build" in one.name]
    assert list(work_dir.rglob("build-*")) == []
