"""`faas.web.strict_json`."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faas.errors import BadRequest, Invalid
from faas.web.strict_json import parse

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="\0")), inner)
    ),
    max_leaves=20,
)


@given(VALUES, st.booleans())
def test_every_json_value_comes_back(value, ascii_only):
    assert parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@pytest.mark.parametrize(
    "raw",
    [
        b"", b" \n", b"{", b'{"a": [1, 2', b'"open', b"{'a': 1}", b"[1,]", b"01", b"+1", b".5", b"nul", b"{} {}", b'"\x01"', b'"tab\tin text"',
        b"NaN", b"[Infinity]", b'{"a": -Infinity}', b'{"a": 1, "a": 1}', b'[{"x": {"b": 1, "b": 2}}]',
        b'{"a": 1, "\\u0061": 2}', b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\x80"', b"\xef\xbb\xbf{}", '{"a": 1}'.encode("utf-16"),
        b"[" * 201 + b"]" * 201, b'{"a":' * 10_000 + b"1" + b"}" * 10_000, b"[" * 100_000, b"]" * 100_000,
    ],
    ids=lambda raw: repr(raw[:24]),
)  # fmt: skip
def test_what_is_not_json_is_a_bad_request(raw):
    with pytest.raises(BadRequest):
        parse(raw)


def test_two_hundred_deep_is_the_deepest():
    value = parse(b"[" * 200 + b"]" * 200)
    for _ in range(199):
        (value,) = value
    assert value == []
    assert parse(b'{"a":' * 200 + b"1" + b"}" * 200)


def test_many_brackets_side_by_side_or_in_text_are_not_deep():
    wide = [{"n": [[]]} for _ in range(1000)] + ['[[{"' * 500, "\\" * 7, '"[' * 300]
    assert parse(json.dumps(wide).encode()) == wide


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b'{"a": "x\\u0000"}', "a"), (b'{"a": {"b": ["\\ud800"]}}', "a.b.0"), (b'{"k\\u0000": 1}', "body"), (b'"\\udc00"', "body"),
        (b'{"n": 1e400}', "n"), (b"[-1e999]", "0"), (b'{"n": %s}' % (b"9" * 5000), "body"), (b'{"a": {"\\ud83d": 1}}', "a"),
    ],
    ids=lambda value: str(value)[:24],
)  # fmt: skip
def test_json_that_cant_be_kept_names_its_field(raw, field):
    with pytest.raises(Invalid) as caught:
        parse(raw)
    assert list(caught.value.errors) == [field]


def test_integers_are_kept_exactly():
    number = 10**4000 + 1
    assert parse(str(number).encode()) == number
    assert parse(b"9007199254740993") == 9007199254740993


def test_escaped_pairs_are_characters():
    assert parse(b'"\\ud83e\\udd84 \\u2602"') == "🦄 ☂"
