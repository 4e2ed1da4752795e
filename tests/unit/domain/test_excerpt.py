"""Places in a log."""

from __future__ import annotations

import pytest

from faas.domain.log import Excerpt, Piece, Position

PIECES = (Piece("stdout", 1.0, b"abc"), Piece("stderr", 2.0, b"de"))


def test_an_excerpt_ends_after_its_last_byte() -> None:
    assert Excerpt(Position(2, 10), PIECES).end == Position(2, 15)
    assert Excerpt(Position(2, 10), ()).end == Position(2, 10)


@pytest.mark.parametrize(
    ("offset", "left"), [(10, [b"abc", b"de"]), (12, [b"c", b"de"]), (13, [b"de"]), (14, [b"e"]), (15, []), (20, [])]
)
def test_the_part_after_an_offset(offset: int, left: list[bytes]) -> None:
    part = Excerpt(Position(2, 10), PIECES, closed=True).after(offset)
    assert [piece.data for piece in part.pieces] == left
    assert (part.start, part.closed) == (Position(2, offset), True)
    if left:
        assert part.end == Position(2, 15)


def test_positions_are_in_order_of_attempt_and_offset() -> None:
    assert Position() < Position(1, 5) < Position(1, 6) < Position(2, 0)
