"""Archives, good and bad, made by the standard library where it will, and by hand where it will not."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile
import warnings
import zipfile
import zlib

MIB = 1024 * 1024
FILE = stat.S_IFREG | 0o644
Files = dict[str, bytes]


def zip_of(files: Files, compression: int = zipfile.ZIP_DEFLATED, mode: int = FILE) -> bytes:
    """A zip of plain files."""
    return zip_entries([(path, data, mode) for path, data in files.items()], compression)


def zip_entries(entries: list[tuple[str, bytes, int]], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of (name, data, Unix mode); names may repeat and hold anything."""
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", compression) as archive:
        warnings.simplefilter("ignore")
        for name, data, mode in entries:
            info = zipfile.ZipInfo("placeholder", (2024, 1, 1, 0, 0, 0))
            info.filename, info.create_system, info.external_attr, info.compress_type = name, 3, mode << 16, compression
            archive.writestr(info, data)
    return out.getvalue()


def tar_of(files: Files, mode: int = 0o644) -> bytes:
    """A tar of plain files."""
    return tar_entries([(path, tarfile.REGTYPE, "", data) for path, data in files.items()], mode=mode)


def tar_entries(
    entries: list[tuple[str, bytes, str, bytes]], *, mode: int = 0o644, form: int = tarfile.PAX_FORMAT
) -> bytes:
    """A tar of (name, type, link name, data)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, kind, link, data in entries:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size, info.mode = kind, link, len(data), mode
            archive.addfile(info, io.BytesIO(data) if data else None)
    return out.getvalue()


def tar_gz_of(files: Files) -> bytes:
    """A gzipped tar of plain files."""
    return gzip.compress(tar_of(files), mtime=0)


def tar_with_pax(headers: dict[str, str], name: str = "main.py", data: bytes = b"x") -> bytes:
    """A tar of one file with extended headers."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo(name)
        info.size, info.pax_headers = len(data), headers
        archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zip_of_zeros(size: int) -> bytes:
    """A small zip of one file of zeros."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
        archive.open("zeros", "w") as entry,
    ):
        for _ in range(size // MIB):
            entry.write(bytes(MIB))
    return out.getvalue()


def tar_gz_of_zeros(size: int, tail: int = 0) -> bytes:
    """A small tar.gz of one file of zeros, with more zeros behind the end of the tar."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    info = tarfile.TarInfo("zeros")
    info.size = size
    packed = [packer.compress(info.tobuf())]
    packed += [packer.compress(bytes(MIB)) for _ in range(size // MIB)]
    packed += [packer.compress(bytes(1024)), *(packer.compress(bytes(MIB)) for _ in range(tail // MIB)), packer.flush()]
    return b"".join(packed)


def patched(raw: bytes, marks: dict[bytes, int], form: str, value: int) -> bytes:
    """A zip with one number set in every header that has a mark: mark → the number's offset."""
    out = bytearray(raw)
    for mark, offset in marks.items():
        at = out.find(mark)
        while at >= 0:
            struct.pack_into(form, out, at + offset, value)
            at = out.find(mark, at + 4)
    return bytes(out)


LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


def zip_encrypted(files: Files) -> bytes:
    """A zip that says it is encrypted."""
    return patched(zip_of(files), {LOCAL: 6, CENTRAL: 8}, "<H", 1)


def zip_lying(size: int, stated: int) -> bytes:
    """A zip of zeros whose headers give another size."""
    return patched(zip_of_zeros(size), {LOCAL: 22, CENTRAL: 24}, "<I", stated)


def zip_sharing(copies: int, *, same_name: bool) -> bytes:
    """A kernel that all entries of the directory share (Fifield's bomb), or one quoted by a directory that names it twice."""
    data = bytes(MIB)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(data) + packer.flush()
    sizes = (zlib.crc32(data), len(packed), len(data))
    local = struct.pack("<4sHHHHHIIIHH", LOCAL, 20, 0, 8, 0, 33, *sizes, 1, 0) + b"a" + packed
    central = b""
    for number in range(copies):
        name = b"a" if same_name else bytes([97 + number])
        central += (
            struct.pack("<4sHHHHHHIIIHHHHHII", CENTRAL, 20, 20, 0, 8, 0, 33, *sizes, len(name), 0, 0, 0, 0, 0, 0) + name
        )
    return local + central + struct.pack("<4sHHHHIIH", END, 0, 0, copies, copies, len(central), len(local), 0)


def zip_nested_quotes() -> bytes:
    """Two entries of different names of which the first one's bytes hold the whole second one: Fifield's quoting without a shared name."""
    inner = zip_of({"b": b"inner"}, zipfile.ZIP_STORED)
    quoted = inner[: inner.index(CENTRAL)]
    outer = zip_of({"a": quoted}, zipfile.ZIP_STORED)
    at, end = outer.index(CENTRAL), outer.rindex(END)
    line = bytearray(inner[inner.index(CENTRAL) : inner.rindex(END)])
    struct.pack_into("<I", line, 42, outer.index(quoted))
    # The quoted local header must not be taken for the mark of the outer one.
    central = outer[at:end] + bytes(line)
    return outer[:at] + central + struct.pack("<4sHHHHIIH", END, 0, 0, 2, 2, len(central), at, 0)
