"""Frames: every cut is fine, and nothing that is no frame gets through."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faas.domain.function import Revision, Runtime, Spec
from faas.errors import SandboxError
from faas.sandbox import protocol
from faas.sandbox.call import Call
from faas.sandbox.protocol import FRAME_BYTES, TOO_DEEP, Decoder


def body(frame: bytes) -> dict[str, object]:
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4
    value = json.loads(frame[4:])
    assert isinstance(value, dict)
    return value


@given(st.dictionaries(st.text(), st.integers() | st.text()), st.integers(1, 9))
def test_a_frame_comes_out_whole_however_it_is_cut(message: dict[str, object], size: int) -> None:
    frame, decoder = protocol.encode(message), Decoder()
    found = [decoder.feed(frame[at : at + size]) for at in range(0, len(frame), size)]
    assert found == [None] * (len(found) - 1) + [message]
    assert decoder.empty


def test_a_length_over_the_cap_is_refused_before_the_frame_is_there() -> None:
    assert Decoder().feed(FRAME_BYTES.to_bytes(4, "big")) is None
    with pytest.raises(SandboxError, match="16 MiB"):
        Decoder().feed((FRAME_BYTES + 1).to_bytes(4, "big"))


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"1", b"\xff", b'{"a": 1} {"b": 2}'])
def test_what_is_no_object_is_refused(text: bytes) -> None:
    with pytest.raises(SandboxError):
        Decoder().feed(len(text).to_bytes(4, "big") + text)


def test_two_frames_at_once_are_refused() -> None:
    frame = protocol.encode({})
    with pytest.raises(SandboxError, match="after the end"):
        Decoder().feed(frame + frame)


def test_a_frame_nested_too_deep_is_told_apart() -> None:
    text = b'{"result": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert Decoder().feed(len(text).to_bytes(4, "big") + text) == {"type": TOO_DEEP}


def test_the_payload_goes_in_as_it_is() -> None:
    frame = protocol.invoke(Call("id", '{"n": 1.50, "big": 123456789012345678901234567890}', {"ü": '"'}, 1000), 99)
    assert b'"n": 1.50' in frame
    assert body(frame) == {
        "type": "invoke",
        "id": "id",
        "headers": {"ü": '"'},
        "deadline_ms": 99,
        "payload": {"n": 1.5, "big": 123456789012345678901234567890},
    }


def test_a_function_without_a_version_shows_its_revision() -> None:
    revision = Revision(
        "f", "name", 3, Spec(Runtime.PYTHON, "main.handler", environment={"A": "b"}, memory_mb=64), "d", "d"
    )
    assert body(protocol.init(revision)) == {
        "type": "init", "handler": "main.handler", "environment": {"A": "b"}, "function_name": "name", "function_version": "3", "memory_mb": 64,
    }  # fmt: skip
