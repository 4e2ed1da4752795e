"""What a function printed, cut at a cap."""

from __future__ import annotations

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
