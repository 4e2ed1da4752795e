"""The payload of `faas invoke -d`."""

from __future__ import annotations

from pathlib import Path

import pytest

from faas.cli import payload
from faas.cli.failures import CommandFailed, Exit
from faas.cli.options import DURATION, headers


@pytest.mark.parametrize(
    ("text", "value"), [("{}", {}), ('"é"', "é"), ("null", None), (f"{10**30}", 10**30), ("[1.5]", [1.5])]
)
def test_json_is_taken_as_it_is(text: str, value: object) -> None:
    assert payload.read(text) == value


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "event.json").write_text('\ufeff{"a": 1}', "utf-8")
    assert payload.read(f"@{tmp_path}/event.json") == {"a": 1}


@pytest.mark.parametrize("text", ["hello", "", "NaN", "{'a': 1}", '{"a": 1, "a": 2}', "[" * 100_000, "@no-such-file"])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(CommandFailed) as caught:
        payload.read(text)
    assert caught.value.status == Exit.USAGE


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "event.json").write_bytes(b'"\xff"')
    with pytest.raises(CommandFailed, match="not UTF-8"):
        payload.read(f"@{tmp_path}/event.json")


def test_headers_are_names_and_values() -> None:
    assert headers(["A=b=c", "D="]) == {"A": "b=c", "D": ""}
    for wrong in ("A", "=b"):
        with pytest.raises(CommandFailed):
            headers([wrong])


@pytest.mark.parametrize(("text", "seconds"), [("500ms", 0.5), ("1m30s", 90.0), ("3", 3.0), ("0.25", 0.25)])
def test_durations(text: str, seconds: float) -> None:
    assert DURATION.convert(text, None, None) == seconds
