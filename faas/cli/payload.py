"""The payload of `faas invoke -d`: JSON from the command line, from a file, or from standard input."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from faas.cli.failures import CommandFailed, Exit


def read(data: str) -> Any:
    """The value of `-d`.

    Args:
        data: JSON, `@FILE`, or `-` for standard input.

    Raises:
        CommandFailed: it can't be read, or is no JSON.
    """
    if data == "-":
        return _parse(_decoded(sys.stdin.buffer.read(), "standard input"), "standard input")
    if data.startswith("@"):
        path = Path(data[1:])
        try:
            content = path.read_bytes()
        except OSError as error:
            raise CommandFailed(f"{path}: {error.strerror}", Exit.USAGE) from None
        return _parse(_decoded(content, f"{path}"), f"{path}")
    return _parse(data, "-d")


def _decoded(content: bytes, source: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CommandFailed(f"{source} is not UTF-8: {error}", Exit.USAGE) from None


def _parse(text: str, source: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        hint = "text needs quotes of its own: -d '\"hello\"'; a file is -d @file.json" if source == "-d" else None
        raise CommandFailed(f"{source} is no JSON: {error}", Exit.USAGE, hint=hint) from None


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Python would keep the last of two equal keys; what was meant is not known."""
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} is there twice")
    return found
