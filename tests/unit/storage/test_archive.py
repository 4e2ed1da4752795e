"""Archives of code: what is told apart, what is unpacked and how, and all that is refused."""

from __future__ import annotations

import contextlib
import gzip
import os
import random
import stat
import subprocess
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import archive_makers as make
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from faas.errors import ClientError, Invalid, TooLarge
from faas.storage import archive

MIB = make.MIB
FILES = {"main.py": b"from inner.part import VALUE\n", "inner/__init__.py": b"", "inner/part.py": b"VALUE = 1\n" * 1000}
PACKINGS = {
    "zip": make.zip_of(FILES),
    "stored zip": make.zip_of(FILES, zipfile.ZIP_STORED),
    "tar": make.tar_of(FILES),
    "tar.gz": make.tar_gz_of(FILES),
    "tar.gz in two members": gzip.compress(make.tar_of(FILES)[:700]) + gzip.compress(make.tar_of(FILES)[700:]),
}
packing = pytest.mark.parametrize("data", PACKINGS.values(), ids=PACKINGS.keys())
formats = pytest.mark.parametrize("kind", ["zip", "tar"])


def named(kind: str, *names: str) -> bytes:
    """An archive of a good file and ones with these names."""
    if kind == "zip":
        return make.zip_entries([(name, b"x", make.FILE) for name in ("good.py", *names)])
    return make.tar_entries([(name, tarfile.REGTYPE, "", b"x") for name in ("good.py", *names)])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(data: bytes, into: Path, match: str = ".") -> None:
    """Neither the check nor the unpacking takes it, and nothing is written outside of the folder."""
    into = into / "nest" / "into"
    with pytest.raises(Invalid, match=match) as caught:
        archive.check(data)
    assert list(caught.value.errors) == ["code"]
    with pytest.raises(Invalid, match=match):
        archive.unpack(data, into)
    assert [path for path in into.parent.iterdir() if path != into] == []
    assert all(path.is_dir() or path.is_file() for path in into.rglob("*"))
    assert not any(path.is_symlink() for path in into.rglob("*"))


# -- what is taken


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        *((data, name.split()[-1] if "zip" in name else name.split()[0]) for name, data in PACKINGS.items()),
        (b"def handler(event, context):\n    return event\n", None),
        (b"", None),
        (b"PK", None),
        (b"x" * 2000, None),
        ("é".encode() * 2000, None),
    ],
)
def test_the_first_bytes_tell_the_kind(data: bytes, kind: str | None) -> None:
    assert archive.kind(data) == kind


def test_a_tar_without_a_magic_is_told_by_its_checksum() -> None:
    old = bytearray(make.tar_of({"main.py": b"x"}))
    old[257:265] = bytes(8)
    old[148:156] = b" " * 8
    old[148:156] = b"%06o\0 " % sum(old[:512])
    assert archive.kind(bytes(old)) == "tar"
    archive.check(bytes(old))


@packing
def test_every_kind_unpacks_to_the_files_that_went_in(data: bytes, tmp_path: Path) -> None:
    archive.check(data)
    archive.unpack(data, tmp_path / "into")
    assert contents(tmp_path / "into") == FILES


@pytest.mark.parametrize("read_only", [False, True])
@formats
def test_modes_are_plain_whatever_the_archive_and_the_umask_say(kind: str, read_only: bool, tmp_path: Path) -> None:
    names = {"a/plain": 0o600, "a/program": 0o6711}
    if kind == "zip":
        data = make.zip_entries([(name, b"", stat.S_IFREG | mode) for name, mode in names.items()])
    else:
        parts = [make.tar_entries([(name, tarfile.REGTYPE, "", b"")], mode=mode) for name, mode in names.items()]
        data = parts[0][:512] + parts[1]
    before = os.umask(0o077)
    try:
        archive.unpack(data, tmp_path / "into", read_only=read_only)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "into").rglob("*")}
    assert modes == {"a": 0o755, "plain": 0o444 if read_only else 0o644, "program": 0o555 if read_only else 0o755}


def test_an_archive_of_a_folder_made_by_tar_itself(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for path, data in FILES.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(data)
    deep = source / ("long" * 22) / ("name" * 15)
    deep.parent.mkdir()
    deep.write_bytes(b"")
    for form in ("gnu", "posix", "ustar"):
        packed = subprocess.run(
            ["tar", f"--format={form}", "-czf", "-", "."], cwd=source, capture_output=True, check=True
        ).stdout
        archive.unpack(packed, tmp_path / form)
        assert contents(tmp_path / form) == contents(source)


@formats
def test_a_single_top_folder_is_kept(kind: str, tmp_path: Path) -> None:
    files = {"top/main.py": b"x", "top/b/c.py": b"y"}
    archive.unpack(make.zip_of(files) if kind == "zip" else make.tar_of(files), tmp_path)
    assert contents(tmp_path) == files


@formats
def test_names_in_utf_8_are_kept(kind: str, tmp_path: Path) -> None:
    archive.unpack(named(kind, "données/日本.txt"), tmp_path)
    assert (tmp_path / "données" / "日本.txt").read_bytes() == b"x"


def test_folders_may_come_before_or_after_their_files(tmp_path: Path) -> None:
    folder = stat.S_IFDIR | 0o755
    archive.unpack(
        make.zip_entries(
            [("b/", b"", folder), ("b/x", b"1", make.FILE), ("a/x", b"2", make.FILE), ("a/", b"", folder)]
        ),
        tmp_path,
    )
    assert contents(tmp_path) == {"b/x": b"1", "a/x": b"2"}


def test_a_zip_with_a_comment_and_one_written_to_a_pipe_are_taken(tmp_path: Path) -> None:
    class Pipe:
        def __init__(self) -> None:
            self.data = b""

        def write(self, data: bytes) -> int:
            self.data += bytes(data)
            return len(data)

        def flush(self) -> None:
            pass

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as packed:  # sizes in data descriptors behind the bytes
        packed.writestr("a.py", b"1" * 100)
        packed.writestr("b.py", b"2" * 100)
        packed.comment = b"PK\x05\x06 made by hand"[4:]
    archive.unpack(pipe.data, tmp_path)
    assert contents(tmp_path) == {"a.py": b"1" * 100, "b.py": b"2" * 100}


@pytest.mark.parametrize(
    "headers", [{"path": "from/pax.py"}, {"comment": "x", "mtime": "1.5", "SCHILY.xattr.user.a": "b"}]
)
def test_extended_headers_are_understood(headers: dict[str, str], tmp_path: Path) -> None:
    archive.unpack(make.tar_with_pax(headers), tmp_path)
    assert contents(tmp_path) == {headers.get("path", "main.py"): b"x"}


@formats
def test_ten_thousand_entries_are_taken_and_one_more_is_not(kind: str, tmp_path: Path) -> None:
    files = {f"f{number}": b"" for number in range(10_001)}
    pack = make.zip_of if kind == "zip" else make.tar_gz_of
    with pytest.raises(Invalid, match="10,000"):
        archive.check(pack(files))
    del files["f0"]
    archive.check(pack(files))


# -- what is refused


@pytest.mark.parametrize(
    "name",
    [
        "/etc/cron.d/x",
        "../x",
        "a/../../x",
        "a/..",
        "..",
        "a\\b",
        "..\\x",
        "a\0b",
        "",
        "x" * 256,
        "d/" * 64 + "x",
        "d" * 200 + "/" + "/".join(["e" * 200] * 5),
    ],
    ids=lambda name: ascii(name[:12]),
)
@formats
def test_paths_that_lead_astray(kind: str, name: str, tmp_path: Path) -> None:
    refused(named(kind, name), tmp_path)


@pytest.mark.parametrize(
    "names",
    [("a", "a"), ("a", "./a"), ("a/b", "a//b"), ("a", "A"), ("d/a", "D/b"), ("ß", "SS"), ("a", "a/b"), ("a/b", "a")],
    ids="|".join,
)
@formats
def test_paths_that_clash(kind: str, names: tuple[str, str], tmp_path: Path) -> None:
    refused(named(kind, *names), tmp_path)


def test_a_folder_twice(tmp_path: Path) -> None:
    refused(make.tar_entries([("d", tarfile.DIRTYPE, "", b""), ("d/", tarfile.DIRTYPE, "", b"")]), tmp_path, "twice")


@pytest.mark.parametrize("kind", ["LNK", "CHR", "BLK", "IFO", "SOCK"])
def test_special_files_of_a_zip(kind: str, tmp_path: Path) -> None:
    mode = getattr(stat, f"S_IF{kind}", stat.S_IFIFO) | 0o777
    refused(
        make.zip_entries([("main.py", b"x", make.FILE), ("special", b"/etc/passwd", mode)]),
        tmp_path,
        "neither a file nor a folder",
    )


@pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"4", b"6", b"S", b"D", b"Z"])
def test_special_files_of_a_tar(kind: bytes, tmp_path: Path) -> None:
    data = make.tar_entries([("main.py", tarfile.REGTYPE, "", b"x"), ("special", kind, "/etc/passwd", b"")])
    refused(data, tmp_path, "neither a file nor a folder")


def test_a_link_and_a_file_through_it(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    entries = [("l", tarfile.SYMTYPE, str(outside), b""), ("l/x", tarfile.REGTYPE, "", b"owned")]
    refused(make.tar_entries(entries), tmp_path / "in")
    assert list(outside.iterdir()) == []


def test_encryption(tmp_path: Path) -> None:
    refused(make.zip_encrypted(FILES), tmp_path, "encrypted")


@packing
@pytest.mark.parametrize(
    "junk", [b"junk", b"\n", b"PK\x05\x06", make.zip_of({"other.py": b""})], ids=["text", "newline", "mark", "zip"]
)
def test_junk_after_the_end(data: bytes, junk: bytes, tmp_path: Path) -> None:
    refused(data + junk, tmp_path)


def test_junk_inside_a_gzip_after_the_end_of_the_tar(tmp_path: Path) -> None:
    refused(gzip.compress(make.tar_of(FILES) + b"junk"), tmp_path, "junk")


@packing
def test_archives_that_are_cut_short(data: bytes) -> None:
    # The zeros that fill up a tar's last record may go: its end is two blocks of them.
    whole = len(data) if data[257:262] != b"ustar" else len(data.rstrip(b"\0"))
    for length in {int(whole * part) for part in (0.3, 0.5, 0.9)} | {whole - 1}:
        if archive.kind(data[:length]):
            with pytest.raises(Invalid):
                archive.check(data[:length])


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x05\x06" + bytes(18),
        bytes(10240),
        gzip.compress(bytes(10240), mtime=0),
        b"PK\x03\x04",
        b"\x1f\x8b",
        gzip.compress(b"no tar", mtime=0),
    ],
    ids=["zip", "tar", "tar.gz", "mark of a zip", "mark of a gzip", "gzip"],
)
def test_archives_without_a_file(data: bytes, tmp_path: Path) -> None:
    refused(data, tmp_path)


def test_only_folders_are_no_code(tmp_path: Path) -> None:
    refused(make.tar_entries([(".", tarfile.DIRTYPE, "", b""), ("d", tarfile.DIRTYPE, "", b"")]), tmp_path, "no file")


def test_a_wrong_crc(tmp_path: Path) -> None:
    refused(make.patched(make.zip_of(FILES), {make.LOCAL: 14, make.CENTRAL: 16}, "<I", 12345), tmp_path, "damaged")
    data = bytearray(make.tar_gz_of(FILES))
    data[-6] ^= 1
    refused(bytes(data), tmp_path / "b", "damaged")


def test_another_compression(tmp_path: Path) -> None:
    refused(make.zip_of(FILES, zipfile.ZIP_BZIP2), tmp_path, "deflate")


def test_a_directory_that_contradicts_its_entries(tmp_path: Path) -> None:
    data = bytearray(make.zip_of({"main.py": b"x"}))
    data[30:37] = b"evil.py"
    refused(bytes(data), tmp_path, "contradicts")


@pytest.mark.parametrize("offset", [8, 10, 12, 16], ids=["entries here", "entries", "length", "start"])
def test_an_end_that_lies(offset: int, tmp_path: Path) -> None:
    for value in (0, 1, 7, 0xFFFF):
        refused(make.patched(make.zip_of(FILES), {make.END: offset}, "<H", value), tmp_path)


def test_a_sparse_file_and_an_endless_header(tmp_path: Path) -> None:
    refused(make.tar_with_pax({"GNU.sparse.major": "1", "GNU.sparse.size": "99999999999"}), tmp_path, "sparse")
    refused(make.tar_with_pax({"comment": "x" * MIB}), tmp_path / "b", "too long")


@pytest.mark.parametrize("size", ["-1", "99999999999999999999999", "x"])
def test_a_size_in_an_extended_header_that_cannot_be(size: str) -> None:
    with pytest.raises(ClientError):
        archive.check(make.tar_with_pax({"size": size}))


# -- sizes


@pytest.mark.parametrize("make_it", [make.zip_of_zeros, make.tar_gz_of_zeros])
def test_250_mib_unpacked_are_taken_and_more_is_too_large(make_it: object) -> None:
    assert callable(make_it)
    archive.check(make_it(250 * MIB))
    with pytest.raises(TooLarge):
        archive.check(make_it(251 * MIB))


def test_many_files_are_too_large_together() -> None:
    with pytest.raises(TooLarge):
        archive.check(make.zip_of({f"f{number}": bytes(26 * MIB) for number in range(10)}))


def test_50_mib_packed_are_the_most() -> None:
    with pytest.raises(TooLarge):
        archive.check(b"#" * (50 * MIB + 1))
    archive.check(b"#" * (50 * MIB))


def test_zeros_without_end_behind_the_end_are_too_large() -> None:
    with pytest.raises(TooLarge):
        archive.check(make.tar_gz_of_zeros(MIB, tail=400 * MIB))


def test_headers_that_lie_about_the_size(tmp_path: Path) -> None:
    refused(make.zip_lying(300 * MIB, stated=10), tmp_path, "larger than its headers say")
    refused(make.zip_lying(MIB, stated=2 * MIB), tmp_path / "b", "damaged")


def test_entries_that_share_bytes(tmp_path: Path) -> None:
    refused(make.zip_sharing(5, same_name=True), tmp_path, "share bytes")
    refused(make.zip_sharing(5, same_name=False), tmp_path / "b", "contradicts")
    refused(make.zip_nested_quotes(), tmp_path / "c", "share bytes")


def test_the_check_needs_little_memory() -> None:
    packed = [
        make.zip_of_zeros(100 * MIB),
        make.tar_gz_of_zeros(100 * MIB),
        make.zip_lying(100 * MIB, stated=100 * MIB),
    ]
    tracemalloc.start()
    try:
        for data in packed:
            archive.check(data)
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    finally:
        tracemalloc.stop()


# -- whatever comes


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(PACKINGS)), st.integers(0, 2**32), st.integers(1, 8))
def test_damaged_archives_raise_client_errors_and_nothing_else(name: str, seed: int, flips: int) -> None:
    data = bytearray(PACKINGS[name])
    chance = random.Random(seed)
    for _ in range(flips):
        data[chance.choice([chance.randrange(len(data)), chance.randrange(min(600, len(data)))])] = chance.randrange(
            256
        )
    if archive.kind(bytes(data)):
        with contextlib.suppress(ClientError):
            archive.check(bytes(data))


@settings(max_examples=200, deadline=None)
@example(b"PK\x03\x04")
@example(b"PK\x05\x06" + b"\xff" * 18)
@given(
    st.binary(max_size=700).flatmap(
        lambda data: st.sampled_from([data, b"PK\x03\x04" + data, b"\x1f\x8b\x08" + data, gzip.compress(data)])
    )
)
def test_any_bytes_raise_client_errors_and_nothing_else(data: bytes) -> None:
    with contextlib.suppress(ClientError):
        archive.check(data)
