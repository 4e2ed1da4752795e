"""How Go sources are prepared; the compiler itself is in the contract suite of the engines."""

from __future__ import annotations

from pathlib import Path

import pytest

from faas.sandbox import gobuild


def make(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
        (folder / name).chmod(0o444)
    return folder


@pytest.mark.parametrize(
    ("names", "targets", "module"),
    [
        (["main.go"], ["main.go"], False),
        (["main.go", "go.mod"], ["."], True),
        (["main.go", "helper.go"], ["."], True),
        (["main.go", "data.txt"], ["."], True),
        (["cmd/main.go"], ["."], True),
    ],
)
def test_what_is_compiled(tmp_path: Path, names: list[str], targets: list[str], module: bool) -> None:
    source = make(tmp_path / "source", *names)
    assert gobuild.prepare(source, tmp_path / "copy") == targets
    assert (tmp_path / "copy" / "go.mod").exists() is module
    assert sorted(path.name for path in source.rglob("*.mod")) == [name for name in names if name == "go.mod"]


def test_a_module_of_the_owner_is_left_as_it_is(tmp_path: Path) -> None:
    gobuild.prepare(make(tmp_path / "source", "main.go", "go.mod"), tmp_path / "copy")
    assert (tmp_path / "copy" / "go.mod").read_text() == "x"


def test_vendored_packages_are_used_where_they_are_brought(tmp_path: Path) -> None:
    plain, vendored = make(tmp_path / "a", "main.go"), make(tmp_path / "b", "main.go", "vendor/modules.txt")
    assert gobuild.environment(plain, cache="/c", home="/h")["GOFLAGS"] == "-mod=mod"
    assert gobuild.environment(vendored, cache="/c", home="/h")["GOFLAGS"] == "-mod=vendor"


def test_the_compiler_s_words_are_text_and_bounded() -> None:
    assert gobuild.words(b"  main.go:1: \xff\0 \n") == "main.go:1: \ufffd\ufffd"
    assert len(gobuild.words(b"x" * 100_000)) == 16 * 1024
    assert gobuild.words(b"") == "The compiler failed and said nothing."
