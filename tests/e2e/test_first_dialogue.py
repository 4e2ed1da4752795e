"""What a newcomer does with README and `--help` alone, in terminals: from a scaffold to a chord of Celery."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster import PATIENCE, WITH_ONE_ENGINE, Cluster
from e2e.commands import Running, Shell

pytestmark = [pytest.mark.timeout(400), WITH_ONE_ENGINE]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "celery.md"
ID = r"[0-9a-f]{8}-[0-9a-f-]{27}"
PROMPT = "ready> "
# Of so many edits one is deployed within a second: another load of the machine may delay the others.
EDITS = 10
WHOLE_S = 240


@pytest.fixture
def shell(cluster: Cluster, tmp_path: Path) -> Iterator[Shell]:
    made = Shell(cluster, tmp_path)
    made.environment |= {"PATH": f"{Path(sys.executable).parent}:{made.environment['PATH']}", "PS1": PROMPT}
    made.environment["PATH"] = made.install()
    yield made
    cluster.call("DELETE", "/functions/hello")


@contextlib.contextmanager
def bash_of(shell: Shell) -> Iterator[Bash]:
    """A shell in a terminal of its own."""
    with shell.terminal("bash", "--norc", "--noprofile", "-i", columns=200) as screen:
        try:
            yield Bash(screen)
        finally:
            # It takes no Ctrl-C for an end.
            screen.type("exit\n")
            screen.end()


class Bash:
    """A shell in a terminal, at its prompt."""

    def __init__(self, screen: Running) -> None:
        self._screen = screen
        screen.expect(PROMPT)

    def says(self, typed: str, pattern: str) -> re.Match[str]:
        """Type a line; what matches in the answer, once the prompt is there again."""
        begin = len(self._screen.plain) + len(typed)
        deadline = time.monotonic() + PATIENCE
        self._screen.type(f"{typed}\n")
        while not (said := self._screen.read()[begin:]).endswith(PROMPT):
            assert time.monotonic() < deadline, said
        found = re.search(pattern, said)
        assert found, f"{pattern!r} is not in {said!r}"
        return found


def block(language: str) -> str:
    """The first block of a language on the page about Celery, as one copies it."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    return found[1]


def edited(watching: Running, code: Path, source: str) -> float:
    """Save a file; the seconds until it is deployed."""
    seen = watching.plain.count(" updated hello, revision ")
    began = time.monotonic()
    code.write_text(source)
    watching.expect(rf"(?s)(?: updated hello, revision \d+, in .*?){{{seen + 1}}}")
    return time.monotonic() - began


def test_from_a_scaffold_to_a_chord(shell: Shell) -> None:
    began = time.monotonic()
    code = shell.folder / "hello" / "main.py"
    with bash_of(shell) as bash:
        bash.says("faas init hello", r"Made the function hello \(python\)(?s:.*)Deploy it: faas deploy hello\n")
        bash.says("faas deploy hello", "Created hello, revision 1(?s:.*)Invoke it: faas invoke hello")
        bash.says('faas invoke hello -d \'{"name": "Ada"}\'', '"message": "Hello, Ada!"')
        # It fails: where, what it was called with, and what to do is told.
        failed = bash.says(
            "faas invoke hello -d 5",
            r"AttributeError: 'int' object has no attribute 'get'\n"
            r'  File "main.py", line 8, in handler\n'
            rf"(?s:.*)faas logs ({ID}) (?s:.*)faas replay \1 .*--newest",
        )[1]
        bash.says(f"faas logs {failed}", "called with 5\n")
        bash.says(f"faas why {failed}", "failed with AttributeError")
        with shell.terminal("faas", "deploy", "hello", "--watch") as watching:
            watching.expect("Watching for changes")
            source = code.read_text().replace("(event or {})", "({'name': event} if isinstance(event, int) else event)")
            took = [edited(watching, code, source)]
            while min(took) >= 1 and len(took) < EDITS:
                took.append(edited(watching, code, f"{source}# {len(took)}\n"))
            assert min(took) < 1, took
        bash.says(f"faas replay {failed} --newest --wait", '"message": "Hello, 5!"')
        (shell.folder / "tasks.py").write_text(block("python"))
        worker, call = block("bash").splitlines()
        with shell.terminal(*worker.removesuffix(" &").split()):
            bash.says(call, re.escape("{'card': [{'message': 'Hello, Ada!'}, {'message': 'Hello, everybody!'}]}"))
        bash.says("faas ps --function hello", rf"(?s){failed} +hello +failed .*AttributeError")
    assert time.monotonic() - began < WHOLE_S
