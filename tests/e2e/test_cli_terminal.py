"""The command `faas` in a terminal: dialogues, colours, Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster import WITH_ONE_ENGINE, Cluster, eventually
from e2e.commands import FAAS, Shell

pytestmark = [pytest.mark.timeout(400), WITH_ONE_ENGINE]
SLEEPS = "import time\n\ndef handler(event, context):\n    time.sleep(28)\n"


@pytest.fixture
def shell(cluster: Cluster, tmp_path: Path) -> Iterator[Shell]:
    """A folder with a function that is not deployed yet, in `greeter`."""
    made = Shell(cluster, tmp_path)
    made.ok("init", "greeter")
    yield made
    cluster.call("DELETE", "/functions/greeter")


def test_a_function_is_made_called_and_deleted_in_a_dialogue(shell: Shell) -> None:
    with shell.terminal(*FAAS, "deploy", "greeter") as screen:
        screen.expect("Created greeter, revision 1")
        screen.expect("Invoke it: faas invoke greeter")
        screen.expect(f"curl {shell.environment['FAAS_URL']}/invoke")
        assert screen.end() == 0
    with shell.terminal(*FAAS, "invoke", "greeter") as screen:
        screen.expect('{\n  "message": "Hello, world!"\n}\n')
        screen.expect(r"\d+ ms \((warm|cold start, .* to load)\), revision 1, ")
        assert screen.end() == 0
    with shell.terminal(*FAAS, "rm", "greeter") as screen:
        screen.expect(r"Delete greeter\? \[y/N\]: ")
        screen.type("n\n")
        screen.expect("nothing was deleted")
        assert screen.end() == 1
    shell.ok("get", "greeter")
    with shell.terminal(*FAAS, "rm", "greeter") as screen:
        screen.expect(r"\[y/N\]: ")
        screen.type("y\n")
        screen.expect("Deleted greeter")
        assert screen.end() == 0
    assert shell.faas("get", "greeter").status == 3


def test_ctrl_c_ends_the_waiting_and_says_what_goes_on(shell: Shell, cluster: Cluster) -> None:
    (shell.folder / "greeter" / "main.py").write_text(SLEEPS)
    shell.ok("deploy", "greeter")
    with shell.terminal(*FAAS, "invoke", "greeter", "--json") as screen:
        listed = eventually(
            lambda: cluster.call("GET", "/invocations?function_id=greeter").json()["items"], "it is accepted"
        )
        cluster.running(listed[0]["id"])
        # Its answer is on the way by then at the latest.
        time.sleep(2)
        screen.type("\x03")
        screen.expect(f"no longer waiting for {listed[0]['id']}, which goes on")
        assert screen.end() == 130
    assert cluster.record(listed[0]["id"])["status"] == "running"
    shell.ok("cancel", listed[0]["id"])


def test_colours_are_for_terminals_that_want_them(shell: Shell) -> None:
    shell.ok("deploy", "greeter")
    with shell.terminal(*FAAS, "ls") as screen:
        screen.expect("greeter")
        assert screen.end() == 0
        assert "\x1b[32mactive" in screen.text
    with shell.terminal(*FAAS, "ls", NO_COLOR="1") as screen:
        screen.expect("greeter")
        assert screen.end() == 0
        assert "\x1b" not in screen.text
    assert "\x1b" not in shell.ok("ls").out


def test_a_narrow_terminal_keeps_its_lines(shell: Shell) -> None:
    shell.ok("deploy", "greeter")
    with shell.terminal(*FAAS, "ls", columns=40) as screen:
        screen.expect("(?s)NAME.*greeter")
        assert screen.end() == 0
    assert max(len(line) for line in screen.plain.splitlines()) <= 40


def test_a_narrow_terminal_leaves_out_what_matters_least(shell: Shell) -> None:
    (shell.folder / "greeter" / "main.py").write_text(
        f"def handler(event, context):\n    raise ValueError('{'x' * 90}')\n"
    )
    shell.ok("deploy", "greeter")
    shell.faas("invoke", "greeter")
    for columns, headings in (
        (200, "ID FUNCTION STATUS AGE WAITED RAN ATTEMPTS ERROR"),
        (80, "ID FUNCTION STATUS ERROR"),
    ):
        with shell.terminal(*FAAS, "ps", "--function", "greeter", columns=columns) as screen:
            screen.expect(r"greeter +failed .*ValueError: x+…")
            assert screen.end() == 0
        assert screen.plain.splitlines()[0].split() == headings.split()
        assert max(map(len, screen.plain.splitlines())) <= columns


def test_statistics_are_drawn_in_place_until_ctrl_c(shell: Shell) -> None:
    shell.ok("deploy", "greeter")
    shell.ok("invoke", "greeter")
    with shell.terminal(*FAAS, "stats", "greeter", "--watch", "--window", "24h", columns=80) as screen:
        screen.expect("greeter +1 ")
        screen.expect("Watching; Ctrl-C ends it.")
        screen.type("\x03")
        assert screen.end() == 0
    assert max(len(line) for line in screen.plain.splitlines()) <= 80


def test_what_a_function_prints_does_nothing_to_the_terminal(shell: Shell) -> None:
    (shell.folder / "greeter" / "main.py").write_text(
        "def handler(event, context):\n    print('\\x1b]0;owned\\x07\\x1b[31mred\\x1b[0m')\n"
    )
    shell.ok("deploy", "greeter")
    shell.ok("invoke", "greeter")
    with shell.terminal(*FAAS, "logs", "greeter") as screen:
        screen.expect(r"\\x1b\]0;owned\\x07red")
        assert screen.end() == 0
    assert "\x1b[31mred" in screen.text
    assert "\x1b]0;owned\x07" in shell.ok("logs", "greeter").out


def test_bash_completes_commands_options_and_functions(shell: Shell) -> None:
    shell.ok("deploy", "greeter")
    with shell.terminal("bash", "--norc", "--noprofile", "-i", PATH=shell.install(), PS1="ready> ") as screen:
        screen.expect("ready> ")
        screen.type('eval "$(faas completion bash)"; echo loa""ded\n')
        screen.expect("loaded")
        for typed, completed in (
            ("depl", "deploy "),
            ("deploy --wat", "deploy --watch "),
            ("invoke gree", "invoke greeter "),
        ):
            screen.type(f"faas {typed}\t")
            screen.expect(f"faas {completed}")
            # Away with the line.
            screen.type("\x15")
        screen.type("exit\n")
        assert screen.end() == 0
