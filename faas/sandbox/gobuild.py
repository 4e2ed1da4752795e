"""How Go sources become a program, whichever engine runs the compiler."""

from __future__ import annotations

import shutil
from pathlib import Path

WORDS_BYTES = 16 * 1024
# Without a `go` line a module has the language of Go 1.16.
_MODULE = "module function\n\ngo 1.24\n"


def prepare(source: Path, folder: Path) -> list[str]:
    """Copy the sources to where they are compiled.

    An archive without `go.mod` becomes a module of its own. One file is compiled by its name, so that build tags don't hide it.

    Args:
        source: the unpacked code, which is only read.
        folder: does not exist yet.

    Returns:
        The last arguments of the command: what is compiled.
    """
    shutil.copytree(source, folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    if (folder / "go.mod").is_file():
        return ["."]
    files = [path for path in folder.rglob("*") if path.is_file()]
    if len(files) == 1 and files[0].parent == folder and files[0].suffix == ".go":
        return [files[0].name]
    (folder / "go.mod").write_text(_MODULE)
    return ["."]


def command(go: str, output: str, targets: list[str]) -> list[str]:
    """The compiler's command, run in the prepared folder.

    Args:
        go: the `go` program.
        output: where the program is put.
        targets: what `prepare` returned.
    """
    return [go, "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", output, *targets]


def environment(folder: Path, *, cache: str, home: str) -> dict[str, str]:
    """The compiler's variables beyond PATH: nothing is fetched, no C compiler runs, no other toolchain is tried.

    Args:
        folder: what `prepare` filled: whether it brings its dependencies in `vendor` decides how they are found.
        cache: the build cache, kept between builds.
        home: a folder that can be written.
    """
    mode = "vendor" if (folder / "vendor" / "modules.txt").is_file() else "mod"
    return {
        "GOFLAGS": f"-mod={mode}",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
        "GOTELEMETRY": "off",
        "GOWORK": "off",
        "GOENV": "off",
        "CGO_ENABLED": "0",
        "GOCACHE": cache,
        "GOPATH": f"{home}/go",
        "HOME": home,
        "TMPDIR": home,
        "LANG": "C.UTF-8",
    }


def complaint(made: Path) -> str | None:
    """What is wrong with what the compiler made, although it was content: of a package that is not `main` it makes a library.

    Returns:
        None for a program (ELF: the System V ABI's first four bytes).
    """
    with made.open("rb") as file:
        return None if file.read(4) == b"\x7fELF" else "The package is not main: it makes no program."


def words(output: bytes) -> str:
    """What the compiler said, as text for an owner: the first 16 KiB."""
    text = output[:WORDS_BYTES].decode(errors="replace").replace("\0", "\ufffd").strip()
    return text or "The compiler failed and said nothing."
