"""Exit statuses: each is documented, and each kind of failure has its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from faas.cli.failures import Exit, of_status
from faas.cli.stack_trace import failure_of

PAGE = Path(__file__).resolve().parents[3] / "docs" / "cli.md"


def test_each_is_documented_and_no_other() -> None:
    table = PAGE.read_text().partition("| status | |")[2].partition("\n\n")[0]
    assert {int(number) for number in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)} == set(Exit)


@pytest.mark.parametrize(
    ("type_", "status", "exit_status"),
    [
        ("ValueError", "failed", Exit.FAILED),
        ("Function.Timeout", "timed_out", Exit.FAILED),
        ("Platform.WorkerLost", "failed", Exit.PLATFORM),
        ("Platform.Expired", "cancelled", Exit.FAILED),
    ],
)
def test_an_invocation_s_end_has_its_status(type_: str, status: str, exit_status: Exit) -> None:
    record = {"id": "i", "status": status, "error": {"type": type_, "message": "m", "stack_trace": []}}
    assert failure_of(record).status == exit_status


@pytest.mark.parametrize(
    ("http_status", "exit_status"),
    [
        (404, Exit.NOT_FOUND),
        (401, Exit.DENIED),
        (403, Exit.DENIED),
        (409, Exit.FAILED),
        (422, Exit.FAILED),
        (503, Exit.PLATFORM),
    ],
)
def test_an_answer_of_the_server_has_its_status(http_status: int, exit_status: Exit) -> None:
    assert of_status(http_status) == exit_status
