"""Reading a zip from memory, more strictly than `zipfile` does: that module takes junk at both ends, lets entries share bytes (the bombs of
David Fifield, "A better zip bomb", WOOT 2019), and makes an object for each of a million entries before anyone can count them.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from faas.storage.archive_rules import MAX_ENTRIES, Entry, Ledger, refuse

_END = struct.Struct("<4s4H2LH")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_END_MARK, _CENTRAL_MARK, _LOCAL_MARK = b"PK\x05\x06", b"PK\x01\x02", b"PK\x03\x04"
_ENCRYPTED = 0x0001 | 0x0040 | 0x2000
_STORED, _DEFLATED = 0, 8
_COMMENT_BYTES = 65_535
_CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class _Item:
    """A line of the central directory. `packed` and `size` are what it says; `start` is where its local header begins."""

    name: bytes
    mode: int
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    start: int


def read_zip(data: bytes, ledger: Ledger) -> Iterator[Entry]:
    """The entries of a zip. Raises Invalid or TooLarge, in the middle of it too."""
    end, items = _directory(data)
    spans = sorted((item.start, _data_start(data, item) + item.packed) for item in items)
    for (_, stop), (start, _) in pairwise([*spans, (end, end)]):
        if stop > start:
            refuse("The archive has entries that share bytes.")
    for item in items:
        ledger.expect(item.size)
        name, folder = _name(item), _is_folder(item)
        if folder and item.size:
            refuse("The archive has a folder with contents of its own.")
        yield Entry(ledger.admit(name, folder=folder), folder, bool(item.mode & 0o111), _contents(data, item, ledger))


def _directory(data: bytes) -> tuple[int, list[_Item]]:
    """Where the central directory begins, and its lines."""
    at = data.rfind(_END_MARK, max(0, len(data) - _END.size - _COMMENT_BYTES))
    if at < 0 or len(data) - at < _END.size:
        refuse("The zip has no end, or junk after it.")
    _, disk, first_disk, here, count, length, start, comment = _END.unpack_from(data, at)
    if at + _END.size + comment != len(data):
        refuse("The zip has junk after its end.")
    if disk or first_disk or here != count or 0xFFFF in (here, count) or 0xFFFFFFFF in (length, start):
        refuse("The zip is one of several parts, or in the Zip64 format, which is for larger ones.")
    if count > MAX_ENTRIES:
        refuse(f"The archive has more than {MAX_ENTRIES:,} entries.")
    if start + length != at:
        refuse("The zip's directory is not where its end says.")
    items = []
    place = start
    for _ in range(count):
        item, place = _item(data, place, at)
        items.append(item)
    if place != at:
        refuse("The zip's directory is longer than its end says.")
    return start, items


def _item(data: bytes, place: int, end: int) -> tuple[_Item, int]:
    if end - place < _CENTRAL.size:
        refuse("The zip's directory is cut short.")
    fields = _CENTRAL.unpack_from(data, place)
    mark, _, _, flags, method, _, _, crc, packed, size, name_size, extra, comment, _, _, attributes, start = fields
    stop = place + _CENTRAL.size + name_size + extra + comment
    if mark != _CENTRAL_MARK or stop > end:
        refuse("The zip's directory is broken.")
    if flags & _ENCRYPTED:
        refuse("The archive is encrypted.")
    if method not in (_STORED, _DEFLATED):
        refuse("The zip uses another compression than deflate.")
    name = data[place + _CENTRAL.size : place + _CENTRAL.size + name_size]
    return _Item(name, attributes >> 16, flags, method, crc, packed, size, start), stop


def _data_start(data: bytes, item: _Item) -> int:
    if item.start + _LOCAL.size > len(data):
        refuse("The zip's directory names a place outside of it.")
    mark, _, flags, method, _, _, _, _, _, name_size, extra = _LOCAL.unpack_from(data, item.start)
    name_at = item.start + _LOCAL.size
    # Two readers that trust different headers would see different archives.
    if (
        mark != _LOCAL_MARK
        or data[name_at : name_at + name_size] != item.name
        or method != item.method
        or flags & _ENCRYPTED
    ):
        refuse("The zip's directory contradicts its entries.")
    return int(name_at + name_size + extra)


def _name(item: _Item) -> str:
    try:
        return item.name.decode("utf-8")
    except UnicodeDecodeError:
        if item.flags & 0x0800:
            refuse("The archive has a path that says it is UTF-8, and is not.")
        return item.name.decode("cp437")


def _is_folder(item: _Item) -> bool:
    kind = stat.S_IFMT(item.mode)
    # Makers on other systems than Unix leave the mode out; a slash at the end is then all that tells a folder.
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        refuse("The archive has an entry that is neither a file nor a folder.")
    return kind == stat.S_IFDIR or item.name.endswith(b"/")


def _contents(data: bytes, item: _Item, ledger: Ledger) -> Iterator[bytes]:
    start = _data_start(data, item)
    packed = memoryview(data)[start : start + item.packed]
    size = crc = 0
    for chunk in _slices(packed) if item.method == _STORED else _inflated(packed):
        size += len(chunk)
        if size > item.size:
            refuse("The zip has a file that is larger than its headers say.")
        crc = zlib.crc32(chunk, crc)
        yield ledger.count(chunk)
    if size != item.size or crc != item.crc:
        refuse("The zip has a file that is damaged (its size or CRC is wrong).")


def _slices(packed: memoryview) -> Iterator[bytes]:
    for at in range(0, len(packed), _CHUNK):
        yield bytes(packed[at : at + _CHUNK])


def _inflated(packed: memoryview) -> Iterator[bytes]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    at = 0
    while not inflater.eof:
        feed = packed[at : at + _CHUNK]
        try:
            chunk = inflater.decompress(feed, _CHUNK)
        except zlib.error:
            refuse("The zip has a file that is damaged.")
        at += len(feed) - len(inflater.unconsumed_tail) - len(inflater.unused_data)
        if chunk:
            yield chunk
        elif not feed and not inflater.eof:
            refuse("The zip has a file that is cut short.")
    if at != len(packed):
        refuse("The zip has junk behind a file's bytes.")
