"""An interruption ends what is measured, and waits while something is cleared away. In processes of their own: signals belong to a process."""

from __future__ import annotations

import subprocess
import sys

_BEGIN = "import os, signal; from bench import interrupts; interrupts.listen(); me = os.getpid()\n"


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _BEGIN + program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_sigterm_raises_what_ctrl_c_raises() -> None:
    program = """
try:
    os.kill(me, signal.SIGTERM)
    print("went on")
except KeyboardInterrupt:
    print("ended")
"""
    assert run(program) == "ended\n"


def test_it_waits_until_all_is_cleared_away() -> None:
    program = """
try:
    with interrupts.deferred():
        with interrupts.deferred():
            os.kill(me, signal.SIGINT)
            print("cleared away")
        print("all of it")
    print("went on")
except KeyboardInterrupt:
    print("ended")
"""
    assert run(program) == "cleared away\nall of it\nended\n"


def test_a_second_one_does_not_cut_off_what_the_first_began_to_end() -> None:
    program = """
try:
    try:
        os.kill(me, signal.SIGINT)
    finally:
        os.kill(me, signal.SIGTERM)
        print("cleared away")
except KeyboardInterrupt:
    print("ended")
"""
    assert run(program) == "cleared away\nended\n"
