"""A program that a stranger wrote in the agent's place, on a real socket: the host gets an outcome or an error in time, and is left as it was."""

from __future__ import annotations

import itertools
import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbox_lab import revision

from faas.domain.function import Runtime
from faas.domain.invocation import Status
from faas.domain.outcome import Outcome
from faas.errors import SandboxError
from faas.sandbox import protocol, supervise
from faas.sandbox.engine import Call, Owner
from faas.sandbox.exchange import Exchange
from faas.sandbox.session import Session, open_session
from faas.sandbox.simple_body import ProcessBody

AGENT = Path(__file__).with_name("hostile") / "agent.py"
HELLO, READY = protocol.encode({"type": "hello"}), protocol.encode({"type": "ready"})
FULL = (16 * 1024 * 1024).to_bytes(4, "big")
LARGEST = b"\xff\xff\xff\xff"
NOT_JSON, LIST, NULLS = b"\0\0\0\x05hello", b"\0\0\0\x02[]", b"\0\0\0\0"
Turn = tuple[bytes, str]


class Stage:
    """Starts hostile agents, each with an exchange of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        self.code = folder / "code"
        self.code.mkdir()
        self._sessions: list[Session] = []

    def open(self, *turns: Turn, timeout_s: float = 60.0) -> Session:
        """A session with an agent of this plan. Raises SandboxError."""
        number = next(self._numbers)
        plan = self._folder / f"plan-{number}.json"
        plan.write_text(json.dumps([{"say": data.hex(), "then": then} for data, then in turns]))
        exchange = Exchange(self._folder, Owner("a-stranger"), f"sandbox-{number}", copy=True)
        watched = [sys.executable, "-I", "-S", str(Path(supervise.__file__)), "256"]
        body = ProcessBody(
            [*watched, sys.executable, "-I", "-S", str(AGENT), str(plan)], exchange.path, {}, own_memory=False
        )
        session = open_session(exchange.path.name, exchange, body, lambda _: None, timeout_s=timeout_s)
        self._sessions.append(session)
        return session

    def close(self) -> None:
        """Close all; nothing of them is left."""
        for session in self._sessions:
            session.close()
        assert list(self._folder.glob("sandboxes/*/*")) == []


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.close()


def load(session: Session, stage: Stage, timeout_ms: int = 60_000) -> Outcome | int:
    return session.specialise(revision(Runtime.PYTHON, "main.handler"), stage.code, timeout_ms)


def call(session: Session, timeout_ms: int = 60_000) -> Outcome:
    return session.invoke(Call("the-call", "null", {}, timeout_ms))


SILENT = ["never", "say nothing", "a part of a frame", "byte by byte"]


@pytest.mark.parametrize(
    "turn",
    [(b"", "never"), (b"", "stay"), (HELLO[:7], "stay"), (FULL + b"[", "drip")],
    ids=SILENT,
)
def test_who_does_not_say_hello_is_given_up_on(stage: Stage, turn: Turn) -> None:
    began = time.monotonic()
    with pytest.raises(SandboxError, match=r"did not connect|no greeting"):
        stage.open(turn, timeout_s=1.0)
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    "data", [NOT_JSON, LIST, LARGEST, NULLS, READY, HELLO + HELLO, HELLO + b"x", protocol.encode({"type": ["hello"]})]
)
def test_who_greets_otherwise_is_refused(stage: Stage, data: bytes) -> None:
    with pytest.raises(SandboxError):
        stage.open((data, "stay"))


@pytest.mark.parametrize("then", ["close", "exit"])
def test_who_goes_away_is_refused(stage: Stage, then: str) -> None:
    with pytest.raises(SandboxError):
        stage.open((HELLO[:3], then))


def result(text: str) -> bytes:
    return f'{{"type": "result", "id": "the-call", "result": {text}}}'.encode()


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


BAD = {
    "not JSON": (NOT_JSON, "stay"),
    "a list": (LIST, "stay"),
    "nothing": (NULLS, "stay"),
    "the largest length": (LARGEST, "stay"),
    "flood": (b"\0\xff\xff\xff", "flood"),
    "flood of small frames": (READY, "flood"),
    "two frames": (READY + READY, "stay"),
    "another greeting": (HELLO, "stay"),
    "an answer of another call": (protocol.encode({"type": "result", "id": "other", "result": 1}), "stay"),
    "closed": (b"", "close"),
    "dead": (b"", "exit"),
    "dead in a frame": (READY[:5], "exit"),
    "UTF-8 that is none": (framed(b'{"type": "\xff"}'), "stay"),
    "a number of 5000 digits": (framed(result("9" * 5000)), "stay"),
}


@pytest.mark.parametrize("turn", BAD.values(), ids=BAD)
def test_whatever_is_said_to_the_code_is_an_outcome(stage: Stage, turn: Turn) -> None:
    session = stage.open((HELLO, "stay"), turn)
    loaded = load(session, stage)
    assert isinstance(loaded, Outcome)
    assert loaded.failure is not None
    assert loaded.failure.type in ("Function.InitError", "Function.ExitError")
    assert not session.usable


@pytest.mark.parametrize("turn", [*BAD.values(), (READY, "stay")], ids=[*BAD, "ready again"])
def test_whatever_is_said_to_a_call_is_an_outcome(stage: Stage, turn: Turn) -> None:
    session = stage.open((HELLO, "stay"), (READY, "stay"), turn)
    assert isinstance(load(session, stage), int)
    outcome = call(session)
    assert outcome.status is Status.FAILED
    assert outcome.failure is not None
    assert outcome.failure.type == "Function.ExitError"
    assert not session.usable


@pytest.mark.parametrize(
    "turn",
    [(b"", "stay"), (READY[:6], "stay"), (FULL + b"[", "drip"), (FULL + b"[" * 1000, "stay")],
    ids=["nothing", "a part", "byte by byte", "an endless frame"],
)
def test_who_does_not_come_to_an_end_is_timed_out(stage: Stage, turn: Turn) -> None:
    session = stage.open((HELLO, "stay"), (READY, "stay"), turn)
    assert isinstance(load(session, stage), int)
    outcome = call(session, 500)
    assert outcome.status is Status.TIMED_OUT
    assert not session.usable


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("NaN", "Function.InvalidResult"),
        ("1e999", "Function.InvalidResult"),
        ("[" * 300 + "]" * 300, "Function.InvalidResult"),
        ("[" * 200_000 + "]" * 200_000, "Function.InvalidResult"),
        ('"' + "x" * (7 << 20) + '"', "Function.ResultTooLarge"),
    ],
    ids=["NaN", "infinity", "deep", "deeper", "huge"],
)
def test_an_answer_that_no_agent_of_ours_would_give(stage: Stage, text: str, kind: str) -> None:
    session = stage.open((HELLO, "stay"), (READY, "stay"), (framed(result(text)), "stay"))
    assert isinstance(load(session, stage), int)
    outcome = call(session)
    assert outcome.failure is not None
    assert outcome.failure.type == kind


@pytest.mark.parametrize("seed", range(12))
def test_garbage_of_any_kind_never_gets_out_of_the_session(stage: Stage, seed: int) -> None:
    luck = random.Random(seed)
    answer = bytearray(framed(result('{"a": [1, 2, "three"]}')))
    for _ in range(luck.randint(1, 6)):
        answer[luck.randrange(len(answer))] = luck.randrange(256)
    garbage = bytes(answer) if seed % 2 else luck.randbytes(luck.randint(1, 5000))
    session = stage.open((HELLO, "stay"), (READY, "stay"), (garbage, luck.choice(["stay", "close", "exit"])))
    assert isinstance(load(session, stage), int)
    outcome = call(session, 1_000)
    assert outcome.status in (Status.FAILED, Status.TIMED_OUT, Status.SUCCEEDED)
    assert outcome.status is Status.SUCCEEDED or not session.usable
