"""A warm call of a Go function, against fork and exec of the very same program on the host."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

from bench.measures.timing import times_ms
from bench.result import Pair, Result, compared, percentile
from bench.session import Session
from bench.stack import ECHO_GO, Stack, call_body, invoke

_PAYLOAD = {"n": 1}
_SECONDS = 60


def measure(session: Session) -> list[Result]:
    """The row."""
    effort, stack = session.effort, session.stack
    pairs: list[Pair] = []
    with stack.connect() as connection:
        function = stack.deploy(connection, ECHO_GO, "go")
        body = call_body(function, _PAYLOAD)
        program = _program(stack, function, session.root / "go-program")

        def ours() -> None:
            invoke(connection, body)

        def theirs() -> None:
            subprocess.run([program], input=b'{"n": 1}', stdout=subprocess.PIPE, check=True, timeout=_SECONDS, env={})

        ours()
        # The worker makes a new stem cell meanwhile.
        time.sleep(effort.settle * 2)
        for call in (ours, theirs):
            times_ms(call, effort.go_calls // 3 + 1)
        for _ in effort.each_round():
            reference, platform = times_ms(theirs, effort.go_calls), times_ms(ours, effort.go_calls)
            pairs.append((percentile(platform, 50), percentile(reference, 50)))
    return [compared("go-warm", pairs)]


def _program(stack: Stack, function: str, target: Path) -> Path:
    """What the platform compiled, out of its storage (`faas.storage.local`)."""
    statement = "SELECT artifact_digest FROM function_revisions WHERE function_id = %s"
    digest = stack.text(statement, function).removeprefix("sha256:")
    shutil.copyfile(stack.storage / digest[:2] / digest, target)
    target.chmod(0o755)
    return target
