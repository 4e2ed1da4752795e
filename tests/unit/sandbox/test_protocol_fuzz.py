"""Frames from an agent that a function has taken the place of: whatever comes, however it is cut, is a frame, not yet one, or refused in the platform's words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from faas.domain.outcome import Outcome
from faas.errors import SandboxError
from faas.sandbox import protocol, verdict
from faas.sandbox.protocol import FRAME_BYTES, Decoder

# Text as a hostile JSON writer may put it: lone surrogates too, which have no UTF-8.
words = st.text(st.characters(codec=None, exclude_categories=()), max_size=40)
values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda some: st.lists(some, max_size=5) | st.dictionaries(words, some, max_size=5),
    max_leaves=15,
)
names = st.sampled_from(
    ["type", "id", "result", "output", "kind", "message", "class", "stack_trace", "code", "signal", "other"]
)
said = st.sampled_from(
    ["result", "error", "ready", "hello", "exit", "exception", "too_large", "invalid_result", "too_deep", "the call"]
)
# Like an answer, with anything in the place of anything.
answers = st.dictionaries(names, said | values, max_size=8)
messages = answers | st.dictionaries(words, values, max_size=5)


def feed(decoder: Decoder, data: bytes, sizes: list[int]) -> list[dict[str, Any]]:
    """Feed bytes in pieces of these sizes, over and over; what came out. Raises SandboxError alone."""
    found, at, turn = [], 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        frame = decoder.feed(data[at : at + size])
        assert frame is None or isinstance(frame, dict)
        if frame is not None:
            found.append(frame)
        at, turn = at + size, turn + 1
    return found


sizes = st.lists(st.integers(1, 64), min_size=1, max_size=5)


@given(st.binary(max_size=300), sizes)
@example(b"\xff\xff\xff\xff", [1])
@example(b"\0\0\0\0", [1])
@example(b"\0\0\0\x02\xff\xfe", [6])
def test_garbage_is_a_frame_or_refused(data: bytes, cut: list[int]) -> None:
    try:
        feed(Decoder(), data, cut)
    except SandboxError as error:
        assert "\n" not in str(error)


@given(st.binary(max_size=200), sizes)
@example(b'{"a": ' + b"9" * 5000 + b"}", [64])
@example(b'{"a": NaN, "a": 1e999}', [1])
@example(b'\xef\xbb\xbf{"a": 1}', [1])
@example('{"a": 1}'.encode("utf-16"), [7])
def test_any_body_in_a_right_frame_is_an_object_or_refused(body: bytes, cut: list[int]) -> None:
    decoder = Decoder()
    try:
        found = feed(decoder, len(body).to_bytes(4, "big") + body, cut)
    except SandboxError:
        return
    assert len(found) == 1
    assert decoder.empty


@given(messages, sizes, st.data())
def test_a_frame_with_its_bytes_changed_is_never_more_than_refused(
    message: dict[str, Any], cut: list[int], data: st.DataObject
) -> None:
    frame = bytearray(protocol.encode(message))
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    try:
        feed(Decoder(), bytes(frame), cut)
    except SandboxError:
        return


@given(messages, st.data())
def test_a_frame_that_was_cut_short_is_waited_for(message: dict[str, Any], data: st.DataObject) -> None:
    frame, decoder = protocol.encode(message), Decoder()
    length = data.draw(st.integers(1, len(frame) - 1))
    assert feed(decoder, frame[:length], [7]) == []
    assert not decoder.empty
    assert len(feed(decoder, frame[length:], [len(frame)])) == 1


@given(st.integers(FRAME_BYTES + 1, 0xFFFFFFFF), st.binary(max_size=50), sizes)
def test_a_frame_that_would_be_too_large_is_refused_at_its_head(length: int, rest: bytes, cut: list[int]) -> None:
    decoder = Decoder()
    with pytest.raises(SandboxError, match="16 MiB"):
        feed(decoder, length.to_bytes(4, "big") + rest, cut)


def test_an_endless_frame_is_held_to_the_cap_and_no_further() -> None:
    decoder, block = Decoder(), b"[" * (256 * 1024)
    assert decoder.feed(FRAME_BYTES.to_bytes(4, "big")) is None
    with pytest.raises(SandboxError):
        for _ in range(FRAME_BYTES // len(block) + 1):
            decoder.feed(block)


@given(messages, messages, st.integers(1, 64))
def test_no_second_frame_gets_in_behind_the_first(first: dict[str, Any], second: dict[str, Any], size: int) -> None:
    whole, decoder = protocol.encode(first), Decoder()
    with pytest.raises(SandboxError, match="after the end"):
        decoder.feed(whole + protocol.encode(second)[:size])


@given(answers)
@example({"type": ["result"], "id": "the call", "result": 1})
@example({"type": "result", "id": "the call", "output": "\ud800" + "1" * 5000})
@example({"type": "error", "id": "the call", "kind": "exit", "code": 1e999, "signal": True})
@example({"type": "error", "id": "the call", "class": {"a": 1}, "message": ["\0"], "stack_trace": {"0": 1}})
@example({"type": "error", "id": "the call", "class": "Platform.SandboxError", "message": "\x1b[2J\0\ud800"})
def test_any_answer_is_an_outcome_that_can_be_kept_or_none(answer: dict[str, Any]) -> None:
    outcome = verdict.of_answer(answer, "the call")
    for one in (outcome, verdict.of_init_error(answer)):
        if one is not None:
            can_be_kept(one)


def can_be_kept(outcome: Outcome) -> None:
    """Whether PostgreSQL and any JSON tool can hold it, and it does not pass for the platform's."""
    if outcome.failure is None:
        assert outcome.result is not None
        json.loads(outcome.result, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
        assert outcome.result.isascii()
        return
    texts = [outcome.failure.type, outcome.failure.message, *outcome.failure.stack_trace]
    assert not [text for text in texts if "\0" in text]
    assert [text.encode() for text in texts]
    assert not outcome.failure.is_platform
