"""A folder as an archive."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from faas.cli.failures import CommandFailed
from faas.cli.packing import pack


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_the_same_files_make_the_same_bytes_wherever_and_whenever(tmp_path: Path) -> None:
    folders = [write(tmp_path / name, main="a", lib__b="b") for name in ("one", "other")]
    os.utime(folders[1] / "main", (1, 1))
    (folders[1] / "lib" / "b").chmod(0o600)
    assert pack(folders[0]).data == pack(folders[1]).data
    write(folders[1], main="changed")
    assert pack(folders[0]).data != pack(folders[1]).data


def test_what_is_packed_is_what_is_in_the_folder(tmp_path: Path) -> None:
    write(tmp_path, main="hello", lib__tool="#!")
    (tmp_path / "lib" / "tool").chmod(0o755)
    with tarfile.open(fileobj=io.BytesIO(pack(tmp_path).data)) as archive:
        found = {member.name: (member.mode, archive.extractfile(member).read()) for member in archive}
    assert found == {"main": (0o644, b"hello"), "lib/tool": (0o755, b"#!")}


def test_what_nobody_means_to_deploy_stays_out(tmp_path: Path) -> None:
    names = (".git/config", "__pycache__/m.pyc", ".venv/bin/x", "faas.toml", ".faas/x", ".env", "sub/.DS_Store")
    for name in (*names, "main", "sub/faas.toml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "venv").symlink_to("/usr/lib")
    assert pack(tmp_path).files == ("main", "sub/faas.toml")


def test_an_ignore_file_adds_and_takes_back(tmp_path: Path) -> None:
    write(tmp_path, main="x", notes__a="x", data__big="x", data__small="x")
    (tmp_path / ".env").write_text("x")
    (tmp_path / ".faasignore").write_text("# not these\nnotes/\n/data/*\n!/data/small\n!.env\n")
    assert pack(tmp_path).files == (".env", "data/small", "main")


def test_a_link_is_packed_as_what_it_leads_to_within_the_folder(tmp_path: Path) -> None:
    write(tmp_path, main="x")
    (tmp_path / "same").symlink_to("main")
    assert pack(tmp_path).files == ("main", "same")


def test_a_link_out_of_the_folder_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path / "function", main="x")
    write(tmp_path, secret="x")
    (tmp_path / "function" / "borrowed").symlink_to(tmp_path / "secret")
    with pytest.raises(CommandFailed, match="borrowed: can't be deployed") as caught:
        pack(tmp_path / "function")
    assert "/borrowed" in str(caught.value.hint)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="nothing to deploy"):
        pack(tmp_path)
