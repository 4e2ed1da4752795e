"""`faas dev` and `faas demo`, from outside, as a user meets them."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from faas.cli.examples import EXAMPLES
from faas.client import Client, Invocation
from faas.embedded.ports import free_port

# A start from nothing on a slow machine; the usual is a few seconds.
START_SECONDS, STOP_SECONDS = 150, 60
FAAS = (sys.executable, "-m", "faas.cli")
TOLD = "import os\n\ndef handler(event, context):\n    return len(os.environ['TOKEN'])\n"
ECHO = "def handler(event, context):\n    return event\n"


class Dev:
    """A running `faas dev`."""

    def __init__(self, folder: Path, engine: str = "simple") -> None:
        self.port = free_port()
        self.folder = folder
        argv = (*FAAS, "dev", "--port", f"{self.port}", "--data-dir", f"{folder}", "--engine", engine)
        self._output = (folder.parent / f"{folder.name}.out").open("w")
        self._errors = (folder.parent / f"{folder.name}.err").open("w")
        # In a session of its own, and in another folder than the project's.
        self._process = subprocess.Popen(
            argv, stdout=self._output, stderr=self._errors, cwd=folder.parent, start_new_session=True
        )
        self.pid = self._process.pid

    def await_ready(self) -> str:
        deadline = time.monotonic() + START_SECONDS
        while not (said := Path(self._output.name).read_text()).endswith("\n"):
            assert self._process.poll() is None, self.errors()
            assert time.monotonic() < deadline, self.errors()
            time.sleep(0.05)
        return said

    def errors(self) -> str:
        return Path(self._errors.name).read_text()

    def children(self) -> dict[str, int]:
        """Pids of its direct children by a word of their command line."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                words = (entry / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
            except (OSError, IndexError):
                continue
            if parent == self.pid:
                found[
                    next(
                        (word for word in ("gunicorn", "celery", "clock", "redis-server", "postgres") if word in words),
                        words,
                    )
                ] = int(entry.name)
        return found

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self._process.poll() is None:
            os.kill(self.pid, number)
        try:
            return self._process.wait(STOP_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()
            self._output.close()
            self._errors.close()


@pytest.fixture
def devs():
    running: list[Dev] = []
    yield running
    for dev in running:
        dev.stop()


def start(devs, folder: Path, engine: str = "simple") -> Dev:
    dev = Dev(folder, engine)
    devs.append(dev)
    assert dev.await_ready() == f"ready http://127.0.0.1:{dev.port}\n"
    return dev


def get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def is_healthy(port: int) -> bool:
    try:
        return get(port, "/health")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def connect(dev: Dev) -> Client:
    return Client(f"http://127.0.0.1:{dev.port}", "", timeout=120, retries=0)


def deploy(dev: Dev) -> None:
    with connect(dev) as client:
        client.functions.create("kept", "python", ECHO)


def invoke(dev: Dev, name: str, payload: object) -> Invocation:
    with connect(dev) as client:
        return client.invoke(name, payload).wait(300)


def is_whole_again(dev: Dev, before: dict[str, int]) -> bool:
    now = dev.children()
    return now.keys() == before.keys() and not set(before.values()) & set(now.values())


def wait_until(condition, what: str, seconds: float = START_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def test_it_survives_the_death_of_each_part_and_its_own(devs, tmp_path):
    dev = start(devs, tmp_path / "state")
    deploy(dev)
    record = invoke(dev, "kept", {"n": 1})
    with connect(dev) as remote:
        remote.secrets.set("token", "a-value")
        remote.functions.create("told", "python", TOLD, secrets={"TOKEN": "token"})
    key = tmp_path / "state" / "secrets.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert (record.status, record.result) == ("succeeded", {"n": 1})

    before = dev.children()
    assert set(before) == {"gunicorn", "celery", "clock", "redis-server", "postgres"}
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: is_whole_again(dev, before), "all are back")
    wait_until(lambda: is_healthy(dev.port), "it is healthy again")
    assert invoke(dev, "kept", 2).result == 2
    assert re.search(r"^faas: worker ended with status -9; it starts again in 0\.5 s", dev.errors(), re.MULTILINE)

    children = dev.children()
    assert dev.stop(signal.SIGKILL) == -signal.SIGKILL
    wait_until(lambda: all(is_gone(pid) for pid in children.values()), "the children are gone", 30)
    again = start(devs, tmp_path / "state")
    status, body = get(again.port, f"/invocations/{record.id}")
    assert (status, json.loads(body)["result"]) == (200, {"n": 1})
    assert invoke(again, "kept", 3).result == 3
    # The data folder keeps the key of its secrets.
    assert invoke(again, "told", None).result == len("a-value")


def test_two_folders_at_once_but_one_folder_once(devs, tmp_path):
    one, other = start(devs, tmp_path / "one"), start(devs, tmp_path / "other")
    deploy(one)
    assert get(one.port, "/functions/kept")[0] == 200
    assert get(other.port, "/functions/kept")[0] == 404
    argv = (*FAAS, "dev", "--port", f"{free_port()}", "--data-dir", f"{tmp_path / 'one'}", "--engine", "simple")
    refused = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert len(refused.stderr.splitlines()) == 1
    assert "in use by another process" in refused.stderr


@pytest.mark.container
def test_functions_run_in_containers_and_nothing_is_left_after_ctrl_c(devs, tmp_path):
    dev = start(devs, tmp_path / "state", "container")
    deploy(dev)
    assert invoke(dev, "kept", 5).result == 5
    children = dev.children()
    assert dev.stop(signal.SIGINT) == 0
    assert all(is_gone(pid) for pid in children.values())


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_demo_shows_a_record_of_each_runtime(tmp_path):
    argv = (*FAAS, "demo", "--data-dir", f"{tmp_path / 'demo'}", "--engine", "simple")
    done = subprocess.run(argv, capture_output=True, text=True, timeout=380, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for example in EXAMPLES:
        row = next(line for line in done.stdout.splitlines() if example.name in line and "cold" in line)
        assert "succeeded" in row
        assert json.dumps(example.expected) in row
