from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from faas import __version__
from faas.cli import main
from faas.cli.console import choose_engine
from faas.cli.examples import EXAMPLES
from faas.domain.function import Runtime


@pytest.fixture
def command():
    return CliRunner()


def one_line(result) -> str:
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_it_tells_its_version(command):
    assert command.invoke(main, ["--version"]).stdout.strip() == f"faas, version {__version__}"


def commands() -> list[tuple[tuple[str, ...], click.Command]]:
    """All commands with their names, those of groups too."""

    def walk(names: tuple[str, ...], command: click.Command) -> Iterator[tuple[tuple[str, ...], click.Command]]:
        if not isinstance(command, click.Group):
            yield names, command
            return
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from walk((*names, name), command.get_command(context, name))

    return list(walk((), main))


def test_every_command_has_help_with_an_example(command):
    assert len(commands()) > 20
    listed = command.invoke(main, ["--help"]).stdout
    for names, found in commands():
        assert names[0] in listed
        shown = command.invoke(main, [*names, "--help"])
        assert shown.exit_code == 0
        assert found.help.splitlines()[0] in shown.stdout
        assert found.examples, names
        assert all(example in shown.stdout for example in found.examples)


def test_the_list_of_commands_has_whole_sentences(command):
    listed = command.invoke(main, ["--help"], terminal_width=80).stdout.partition("Functions:")[2]
    assert listed
    assert "..." not in listed


def test_a_command_that_is_nearly_right_is_named(command):
    done = command.invoke(main, ["deplyo"])
    assert done.exit_code == 2
    assert "Did you mean 'deploy'?" in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["ls", "--url", "http://127.0.0.1:1"]])
def test_a_light_command_loads_nothing_of_the_server(arguments):
    script = (
        "import sys\nfrom faas.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        "print(sorted({'flask', 'celery', 'sqlalchemy', 'docker', 'boto3', 'marshmallow', 'psycopg2', 'redis'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_database_that_is_away_is_one_line(command):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"postgresql://nobody:secret@127.0.0.1:{closed.getsockname()[1]}/none"
        said = one_line(command.invoke(main, ["db", "current"], env={"DATABASE_URL": url}))
    assert said.startswith("faas: ")
    assert "secret" not in said


def test_a_setting_that_cannot_be_right_is_one_line_that_names_it(command):
    assert "DB_PORT" in one_line(command.invoke(main, ["db", "upgrade"], env={"DATABASE_URL": "", "DB_PORT": "many"}))


def test_a_taken_port_is_one_line(command, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = one_line(
            command.invoke(main, ["dev", "--port", f"{port}", "--data-dir", f"{tmp_path}", "--engine", "simple"])
        )
    assert said == f"faas: port {port} of 127.0.0.1 is taken by another process"


def test_a_port_out_of_range_is_refused(command):
    assert command.invoke(main, ["dev", "--port", "70000"]).exit_code == 2


def test_a_named_engine_is_taken_as_it_is():
    assert choose_engine("simple") == "simple"
    assert choose_engine("container") == "container"


def test_without_docker_auto_means_the_simple_engine_and_one_warning():
    script = "from faas.cli.console import choose_engine; print(choose_engine('auto'))"
    environment = {**os.environ, "DOCKER_HOST": "unix:///no/such/socket"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=60)
    assert done.stdout == "simple\n"
    warnings = done.stderr.splitlines()
    assert len(warnings) == 1, warnings
    assert warnings[0].startswith("faas: warning: ")


def test_the_examples_are_one_of_each_runtime():
    assert {example.runtime for example in EXAMPLES} == {runtime.value for runtime in Runtime}
    assert len({example.name for example in EXAMPLES}) == len(EXAMPLES)
