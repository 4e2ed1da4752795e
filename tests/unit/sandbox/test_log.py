"""What a function printed, cut at a cap."""

from __future__ import annotations

import threading
import time

from faas.domain.function import MIB
from faas.sandbox.log import Log


def test_streams_are_kept_in_order_of_arrival() -> None:
    log = Log()
    for stream, data in (("stdout", b"a"), ("stderr", b"b\n"), ("stdout", b"c")):
        log.add(stream, data)
    assert log.value() == b"ab\nc"


def test_a_full_stream_is_not_cut() -> None:
    log = Log()
    log.add("stdout", b"x" * MIB)
    log.add("stderr", b"y" * MIB)
    assert log.value() == b"x" * MIB + b"y" * MIB


def test_one_byte_more_is_left_out_and_said_so_on_a_last_line() -> None:
    log = Log()
    log.add("stdout", b"x" * (MIB - 1) + b"yz")
    log.add("stdout", b"lost")
    log.add("stderr", b"kept\n")
    assert log.value() == b"x" * (MIB - 1) + b"ykept\n[stdout cut at 1 MiB]\n"


def test_a_mark_has_a_line_of_its_own() -> None:
    log = Log()
    log.add("stdout", b"x" * (MIB + 1))
    log.add("stderr", b"x" * (MIB + 1))
    assert log.value().endswith(b"x\n[stdout cut at 1 MiB]\n[stderr cut at 1 MiB]\n")


def test_it_can_be_read_from_any_byte_with_streams_and_times() -> None:
    log = Log()
    before = time.time()
    for stream, data in (("stdout", b"ab"), ("stderr", b"cd\n"), ("stdout", b"e")):
        log.add(stream, data)
    pieces = log.read(0, 100)
    assert [(piece.stream, piece.data) for piece in pieces] == [
        ("stdout", b"ab"),
        ("stderr", b"cd\n"),
        ("stdout", b"e"),
    ]
    assert all(before <= piece.time <= time.time() for piece in pieces)
    assert [(piece.stream, piece.data) for piece in log.read(1, 3)] == [("stdout", b"b"), ("stderr", b"cd")]
    whole = b"abcd\ne"
    for offset in range(len(whole) + 2):
        assert b"".join(piece.data for piece in log.read(offset, 100)) == whole[offset:]
    assert log.read(0, 0) == () == Log().read(0, 10)


def test_what_comes_at_another_time_is_another_piece() -> None:
    log = Log()
    log.add("stdout", b"a")
    time.sleep(0.05)
    log.add("stdout", b"b")
    first, second = log.read(0, 10)
    assert second.time - first.time >= 0.04


def test_a_function_that_changes_streams_at_every_byte_does_not_fill_the_memory() -> None:
    log = Log()
    for number in range(60_000):
        log.add("stdout" if number % 2 else "stderr", b"x")
    pieces = log.read(0, MIB)
    assert len(pieces) <= 10_000
    assert sum(len(piece.data) for piece in pieces) == 60_000
    assert (pieces[0].stream, pieces[-1].stream) == ("stderr", None)


def test_it_can_be_read_while_it_is_written() -> None:
    log = Log()
    writer = threading.Thread(target=lambda: [log.add("stdout", b"0123456789") for _ in range(20_000)])
    writer.start()
    read = b""
    while writer.is_alive() or len(read) < 200_000:
        read += b"".join(piece.data for piece in log.read(len(read), 1000))
    writer.join()
    assert read == log.value()
