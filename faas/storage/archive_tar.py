"""Reading a tar or tar.gz from memory as a stream. Of `tarfile` only the parser of a header block is used: its reader loads extended
headers whole, however large they say they are, and follows links and sparse maps that have no place here.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from faas.domain.function import MIB, UNPACKED_BYTES
from faas.storage.archive_rules import MAX_ENTRIES, Entry, Ledger, refuse, refuse_size

_BLOCK, _NAME_BYTES = 512, 100
_END = bytes(_BLOCK)
_CHUNK = 256 * 1024
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_LONG_NAME, _PAX, _PAX_GLOBAL = tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE
_EXTENSION_BYTES = 256 * 1024
# An entry has at most a long name and an extended header before it.
_MAX_HEADERS = 3 * MAX_ENTRIES
# What headers, padding and the zeros at the end may add to the files themselves; a gzip could hold terabytes of zeros there.
_STREAM_BYTES = UNPACKED_BYTES + 64 * MIB
# Each one costs a fresh inflater; parallel compressors make one for every 64 KiB or more.
_MAX_MEMBERS = 10_000


@dataclass(slots=True)
class _Extensions:
    """What extension headers say of the entry that follows them."""

    path: str | None = None
    size: int | None = None


def is_header(block: bytes) -> bool:
    """Whether the first 512 bytes are a tar header (by its checksum, so old ones without a magic count), or the end of an empty tar."""
    if len(block) < _BLOCK:
        return False
    return block[:_BLOCK] == _END or _parsed(block[:_BLOCK]) is not None


def read_tar(data: bytes, ledger: Ledger) -> Iterator[Entry]:
    """The entries of a tar. Raises Invalid or TooLarge, in the middle of it too."""
    view = memoryview(data)
    return _entries(_Stream(bytes(view[at : at + _CHUNK]) for at in range(0, len(data), _CHUNK)), ledger)


def read_tar_gz(data: bytes, ledger: Ledger) -> Iterator[Entry]:
    """The entries of a gzipped tar. Raises Invalid or TooLarge, in the middle of it too."""
    return _entries(_Stream(_gunzipped(memoryview(data))), ledger)


class _Stream:
    """Exact reads from an iterator of chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._chunk = b""
        self._at = 0
        self._total = 0

    def some(self, most: int) -> bytes:
        """Between 1 and `most` bytes; none at the end."""
        while self._at == len(self._chunk):
            self._chunk, self._at = next(self._chunks, b""), 0
            if not self._chunk:
                return b""
            self._total += len(self._chunk)
            if self._total > _STREAM_BYTES:
                refuse_size()
        piece = self._chunk[self._at : self._at + most]
        self._at += len(piece)
        return piece

    def pieces(self, size: int) -> Iterator[bytes]:
        """`size` bytes, in pieces."""
        while size:
            piece = self.some(min(size, _CHUNK))
            if not piece:
                refuse("The tar is cut short.")
            size -= len(piece)
            yield piece

    def exactly(self, size: int) -> bytes:
        return b"".join(self.pieces(size))


def _entries(stream: _Stream, ledger: Ledger) -> Iterator[Entry]:
    extensions = _Extensions()
    for _ in range(_MAX_HEADERS):
        header = _header(stream)
        if header is None:
            _only_zeros(stream)
            return
        if header.type in (_LONG_NAME, _PAX, _PAX_GLOBAL):
            _extend(extensions, header, stream)
            continue
        yield _entry(header, extensions, stream, ledger)
        extensions = _Extensions()
    refuse(f"The archive has more than {MAX_ENTRIES:,} entries.")


def _header(stream: _Stream) -> tarfile.TarInfo | None:
    block = stream.exactly(_BLOCK)
    if block == _END:
        return None
    header = _parsed(block)
    if header is None or header.size < 0:
        refuse("The tar has a broken header.")
    _whole_name(block[:_NAME_BYTES])
    return header


def _whole_name(field: bytes) -> bytes:
    """A name up to the NUL that ends it. What follows that would be seen by other readers alone."""
    name, _, rest = field.partition(b"\0")
    if rest.strip(b"\0"):
        refuse("The archive has a path with a NUL in it.")
    return name


def _parsed(block: bytes) -> tarfile.TarInfo | None:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return None


def _only_zeros(stream: _Stream) -> None:
    while piece := stream.some(_CHUNK):
        if piece.count(0) != len(piece):
            refuse("The tar has junk after its end.")


def _entry(header: tarfile.TarInfo, extensions: _Extensions, stream: _Stream, ledger: Ledger) -> Entry:
    folder = header.type == tarfile.DIRTYPE
    if not folder and header.type not in _FILES:
        refuse("The archive has an entry that is neither a file nor a folder.")
    name = header.name if extensions.path is None else extensions.path
    size = header.size if extensions.size is None else extensions.size
    if folder and size:
        refuse("The archive has a folder with contents of its own.")
    if not folder and name.endswith("/"):
        refuse("The archive has a file with the name of a folder.")
    ledger.expect(size)
    return Entry(ledger.admit(name, folder=folder), folder, bool(header.mode & 0o111), _contents(stream, size, ledger))


def _contents(stream: _Stream, size: int, ledger: Ledger) -> Iterator[bytes]:
    for piece in stream.pieces(size):
        yield ledger.count(piece)
    stream.exactly(-size % _BLOCK)


def _extend(extensions: _Extensions, header: tarfile.TarInfo, stream: _Stream) -> None:
    if header.size > _EXTENSION_BYTES:
        refuse("The tar has an extended header that is too long.")
    content = stream.exactly(header.size)
    stream.exactly(-header.size % _BLOCK)
    if header.type == _LONG_NAME:
        extensions.path = _whole_name(content).decode("utf-8", "surrogateescape")
        return
    for key, value in _records(content):
        if key.startswith(b"GNU.sparse."):
            refuse("The archive has a sparse file.")
        if header.type == _PAX_GLOBAL:
            # Comments (as of `git archive`) and owners; a path or size for every entry makes no sense.
            if key in (b"path", b"size", b"linkpath"):
                refuse("The tar has a global header with a path or a size.")
        elif key == b"path":
            extensions.path = value.decode("utf-8", "surrogateescape")
        elif key == b"size":
            if not value.isdigit() or len(value) > 20:
                refuse("The tar has a broken extended header.")
            extensions.size = int(value)


def _records(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The records `length key=value\\n` of POSIX's pax format."""
    at = 0
    while at < len(content):
        space = content.find(b" ", at, at + 8)
        digits = content[at:space] if space > 0 else b""
        stop = at + int(digits) if digits.isdigit() else 0
        record = content[space + 1 : stop]
        key, equals, value = record[:-1].partition(b"=")
        if stop <= space or stop > len(content) or not record.endswith(b"\n") or not equals:
            refuse("The tar has a broken extended header.")
        yield key, value
        at = stop


def _gunzipped(packed: memoryview) -> Iterator[bytes]:
    at = 0
    for _ in range(_MAX_MEMBERS):
        inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
        while not inflater.eof:
            feed = packed[at : at + _CHUNK]
            try:
                chunk = inflater.decompress(feed, _CHUNK)
            except zlib.error:
                refuse("The gzip is damaged, or has junk after its end.")
            at += len(feed) - len(inflater.unconsumed_tail) - len(inflater.unused_data)
            if chunk:
                yield chunk
            elif not feed and not inflater.eof:
                refuse("The gzip is cut short.")
        if at == len(packed):
            return
    refuse(f"The gzip has more than {_MAX_MEMBERS:,} members.")
