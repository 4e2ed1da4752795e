"""The account that serves PostgreSQL where root starts it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from faas.embedded.account import service_account

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts programs under another account")


def test_it_is_another_and_gets_through_a_closed_folder_by_every_way(tmp_path: Path) -> None:
    """`test -x` asks access(2), as initdb does for the programs beside it; running it asks the kernel's exec."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    program = closed / "program"
    program.write_text("#!/bin/sh\nid -u\n")
    program.chmod(0o755)
    account = service_account(tmp_path)
    assert account is not None
    for command in (f"test -x {program} && {program}", f"sh -c {program}"):
        done = subprocess.run(
            ["sh", "-c", command], preexec_fn=account.assume, capture_output=True, text=True, timeout=30
        )
        assert (done.returncode, done.stdout.strip()) == (0, str(account.uid)), done.stderr
