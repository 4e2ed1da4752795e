"""faas.toml: what is taken, and what is said of what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from faas.cli import manifest
from faas.cli.failures import CommandFailed, Exit

LEAST = 'name = "hello"\nruntime = "python"\nhandler = "main.handler"\n'


def load(folder: Path, text: str) -> manifest.Manifest:
    (folder / "faas.toml").write_text(text)
    return manifest.load(folder)


def findings(folder: Path, text: str) -> list[str]:
    with pytest.raises(CommandFailed) as caught:
        load(folder, text)
    assert caught.value.status == Exit.USAGE
    return [line.removeprefix(f"{folder}/") for line in caught.value.message.splitlines()]


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    found = load(tmp_path, LEAST)
    assert found.source == tmp_path
    assert found.fields == {
        "name": "hello",
        "version": "",
        "runtime": "python",
        "handler": "main.handler",
        "timeout": "30s",
        "memory_mb": 128,
        "cpus": 1.0,
        "max_concurrency": 10,
        "network": "none",
        "retry": {"max_attempts": 1, "backoff": "1s", "max_backoff": "1m"},
        "environment": {},
        "metadata": {},
        "secrets": {},
        "http": {"public": False, "cors": None},
    }


def test_everything_can_be_said(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    text = """
version = "1.0"
name = "all"
runtime = "node"
handler = "src/index.handler"
source = "src"
[limits]
timeout = 90
memory_mb = 256
cpus = 0.5
max_concurrency = 3
network = "egress"
[retry]
max_attempts = 4
backoff = "250ms"
max_backoff = "2m"
[environment]
STAGE = "test"
[metadata]
team = { name = "billing", people = 3 }
"""
    fields = load(tmp_path, text).fields
    assert (fields["runtime"], fields["timeout"], fields["cpus"]) == ("nodejs", "1m30s", 0.5)
    assert fields["retry"] == {"max_attempts": 4, "backoff": "250ms", "max_backoff": "2m"}
    assert (fields["environment"], fields["metadata"]) == (
        {"STAGE": "test"},
        {"team": {"name": "billing", "people": 3}},
    )


def test_how_it_is_reached_by_http_can_be_said(tmp_path: Path) -> None:
    text = """
[http]
public = true
[http.cors]
allow_origins = ["https://App.example"]
allow_methods = ["get", "POST"]
max_age = 60
"""
    assert load(tmp_path, LEAST + text).fields["http"] == {
        "public": True,
        "cors": {
            "allow_origins": ["https://app.example"],
            "allow_methods": ["GET", "POST"],
            "allow_headers": ["*"],
            "max_age": "1m",
            "allow_credentials": False,
        },
    }
    assert load(tmp_path, LEAST + "[http]\n").fields["http"] == {"public": False, "cors": None}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LEAST.replace("python", "perl"), "faas.toml:2: runtime: must be one of python, nodejs, go, node (is 'perl')"),
        (
            LEAST + "[limits]\nmemory_mb = 1\n",
            "faas.toml:5: limits.memory_mb: must be a whole number from 32 to 4096 (is 1)",
        ),
        (LEAST + "[limits]\nmemory_mb = true\n", "(is True)"),
        (
            LEAST + '[limits]\ntimeout = "1h"\n',
            "faas.toml:5: limits.timeout: must be from 100ms to 15m (is '1h')",
        ),
        (LEAST + '[limits]\ntimeout = "30"\n', "must be a duration such as"),
        (LEAST + "[limits]\nmemory = 1\n", "faas.toml:5: limits.memory: is unknown; did you mean limits.memory_mb?"),
        (LEAST + "memory_mb = 1\n", "did you mean limits.memory_mb?"),
        (LEAST + '[environment]\nA-B = "x"\n', "faas.toml:4: environment: 'A-B' is no name of a variable"),
        (LEAST + "[environment]\nA = 1\n", "must be a table of texts"),
        (LEAST + "[metadata]\nday = 2026-01-01\n", "no dates or times"),
        (LEAST.replace("main.handler", "main"), "faas.toml:3: handler: must be module.function"),
        (LEAST.replace('"python"', '"go"').replace("main.", "-"), "faas.toml:3: handler: must be the program's name"),
        (LEAST + 'source = "nowhere"\n', "faas.toml:4: source: is no folder"),
        ('name = "hello"\nruntime = "python"\n', "faas.toml: handler: is missing"),
        (LEAST + '[http]\npublic = "yes"\n', "faas.toml:5: http.public: must be true or false (is 'yes')"),
        (LEAST + "[http]\npublik = true\n", "faas.toml:5: http.publik: is unknown; did you mean http.public?"),
        (LEAST + "[http.cors]\n", "faas.toml:4: http.cors: must be a table with allow_origins"),
        (LEAST + "http = { cors = 1 }\n", "faas.toml:4: http.cors: must be a table with allow_origins"),
        (LEAST + '[http.cors]\nmax_age = "1m"\n', "faas.toml:4: http.cors: allow_origins is missing"),
        (
            LEAST + '[http.cors]\nallow_origins = ["app.example"]\n',
            "faas.toml:5: http.cors.allow_origins: 'app.example' is not right; it must be such as [\"https://app.example\"]",
        ),
        (LEAST + "[http.cors]\nallow_origins = []\n", "http.cors.allow_origins: must be a list of 1 to 50 texts"),
        (
            LEAST + '[http]\ncors = { allow_origins = ["*"], allow_credentials = true }\n',
            'faas.toml:5: http.cors.allow_credentials: must not be together with the origin "*"',
        ),
        ("name = ", "is no TOML: Invalid value (at "),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    assert any(said in line for line in findings(tmp_path, text)), findings(tmp_path, text)


def test_all_that_is_wrong_is_told_at_once_in_the_order_of_the_lines(tmp_path: Path) -> None:
    lines = findings(tmp_path, LEAST.replace("hello", "-") + "[limits]\ncpus = 100\n")
    assert [line.split(": ")[0] for line in lines] == ["faas.toml:1", "faas.toml:5"]


def test_a_field_of_the_api_has_its_place_in_the_file(tmp_path: Path) -> None:
    found = load(tmp_path, LEAST + '[limits]\ncpus = 1\n[environment]\nPATH = "x"\n')
    assert found.where("cpus") == f"{tmp_path}/faas.toml:5: limits.cpus"
    assert found.where("environment.PATH") == f"{tmp_path}/faas.toml:7: environment.PATH"
    assert found.where("memory_mb") == f"{tmp_path}/faas.toml:4: limits.memory_mb"


def test_a_folder_without_one_is_told_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="there is no such file") as caught:
        manifest.load(tmp_path)
    assert caught.value.hint
    assert "faas init" in caught.value.hint
