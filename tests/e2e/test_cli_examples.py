"""Every example in the help of every command runs, on a running platform."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from e2e.cluster import PATIENCE, WITH_ONE_ENGINE, Cluster, eventually
from e2e.commands import Shell
from faas.cli import main
from faas.cli.invocations import EXAMPLE_ID
from faas.embedded.ports import free_port

pytestmark = [pytest.mark.timeout(600), WITH_ONE_ENGINE]
SLEEPS = "import time\n\ndef handler(event, context):\n    time.sleep(25)\n"
FAILS = "def handler(event, context):\n    print('tried')\n    raise ValueError('no')\n"
# What goes on until it is interrupted, and what it says once it does its work.
ENDLESS = {
    "faas dev": "ready http://",
    "faas clock": "clock|reconciler",
    "faas logs -f hello": ".",
    "faas deploy hello --watch": "Watching",
    "faas stats --watch": ".",
}
# tests/e2e/test_dev.py runs it, with its table looked at.
ELSEWHERE = {"faas demo"}


def examples(command: click.Command, *names: str) -> Iterator[tuple[str, str]]:
    """(command, example) of all commands."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from examples(found, *names, name)
    else:
        given = getattr(command, "examples", ())
        assert given, f"the help of faas {' '.join(names)} has no example"
        yield from ((" ".join(names), example) for example in given)


@pytest.fixture
def shell(cluster: Cluster, tmp_path: Path) -> Iterator[Shell]:
    """A folder in which the examples find what they name."""
    made = Shell(cluster, tmp_path)
    made.environment["PATH"] = made.install()
    (tmp_path / "event.json").write_text('{"name": "Ada"}')
    cluster.sql("CREATE DATABASE examples")
    try:
        yield made
    finally:
        cluster.call("DELETE", "/functions/hello")
        cluster.sql("DROP DATABASE examples WITH (FORCE)")


def runnable(shell: Shell, cluster: Cluster, command: str, example: str) -> str:
    """The example with what it can't know: ids, and ports that are free."""
    if command == "cancel":
        waiting = cluster.deploy(SLEEPS)
        example = example.replace(EXAMPLE_ID, cluster.submit(waiting))
    elif EXAMPLE_ID in example:
        example = example.replace(EXAMPLE_ID, cluster.invoke(cluster.deploy(FAILS))["id"])
    return example.replace("--port 9000", f"--port {free_port()}")


def run(shell: Shell, example: str, environment: dict[str, str]) -> None:
    """Run to the end."""
    done = subprocess.run(
        ["/bin/sh", "-c", example],
        cwd=shell.folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
    )
    # A replayed failure fails again: that is what it is told by.
    good = (0, 1) if "replay" in example and "--wait" in example else (0,)
    assert done.returncode in good, (example, done)


def run_a_while(shell: Shell, example: str, said: str, environment: dict[str, str]) -> None:
    """Run until it does its work, and interrupt it."""
    path = shell.folder / "output"
    with (
        path.open("w") as output,
        subprocess.Popen(
            ["/bin/sh", "-c", f"exec {example}"],
            cwd=shell.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            eventually(lambda: re.search(said, path.read_text()) or process.poll() is not None, example, 150)
            assert process.poll() is None, (example, path.read_text())
        finally:
            process.send_signal(signal.SIGINT)
            status = process.wait(PATIENCE)
    assert status in (0, 130), (example, status, path.read_text())


def test_every_example_runs(shell: Shell, cluster: Cluster) -> None:
    # What deletes comes last.
    found = sorted(examples(main), key=lambda one: one[0].split()[-1] == "rm")
    assert len(found) > 40
    for command, example in found:
        # tests/e2e/test_api_keys.py runs those of keys: they close the platform.
        if example in ELSEWHERE or command.startswith("keys"):
            continue
        environment = dict(shell.environment)
        if command.startswith("db"):
            environment["DATABASE_URL"] = environment["DATABASE_URL"].rpartition("/")[0] + "/examples"
        said = next((said for mark, said in ENDLESS.items() if mark in example), None)
        line = runnable(shell, cluster, command, example)
        if said is None:
            run(shell, line, environment)
        else:
            run_a_while(shell, line, said, environment)
