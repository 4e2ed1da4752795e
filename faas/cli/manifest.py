"""`faas.toml`: what a function is, beside its code. Every finding names the key and the line."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faas.cli.failures import CommandFailed, Exit
from faas.cli.manifest_values import CHECKS, LIMITS, RETRY, http_across, http_field
from faas.domain import function as rules

FILE = "faas.toml"
# Of these each key is a value of its own; the other tables are values.
_TABLES = ("limits", "retry", "http", "http.cors")
_TABLE = re.compile(r"\s*\[\s*([A-Za-z0-9_.\-\"' ]+?)\s*\]")
_KEY = re.compile(r"\s*([A-Za-z0-9_.\-\"' ]+?)\s*=")


@dataclass(frozen=True, slots=True)
class Manifest:
    """A function as its folder describes it.

    Attributes:
        path: of `faas.toml`.
        source: the folder of the code.
        fields: all fields of `POST /functions` but the code. What the file does not say has its default, so that a key that is taken out of the file is
            taken back on the server.
        lines: for a key (`limits.memory_mb`) the number of its line.
    """

    path: Path
    source: Path
    fields: dict[str, Any]
    lines: Mapping[str, int]

    @property
    def name(self) -> str:
        """The function's name."""
        return str(self.fields["name"])

    def where(self, field: str) -> str:
        """Where a field of the API (`memory_mb`, `environment.X`) stands: `faas.toml:7: limits.memory_mb`."""
        key = f"limits.{field}" if field in LIMITS else field
        return _place(self.path, self.lines, key)


def load(folder: Path) -> Manifest:
    """Read and check a folder's `faas.toml`.

    Raises:
        CommandFailed: it is not there, is no TOML, or has keys or values that can't be right: all of them, a line each.
    """
    path = folder / FILE
    try:
        text = path.read_text("utf-8")
        content = tomllib.loads(text)
    except FileNotFoundError:
        raise CommandFailed(
            f"{path}: there is no such file", Exit.USAGE, hint=f"make a function to begin with: faas init {folder}"
        ) from None
    except (OSError, ValueError) as error:
        raise CommandFailed(f"{path}: {_reason(error)}", Exit.USAGE) from None
    lines = _lines(text)
    values, findings = _read(content)
    if not findings:
        findings += _across(values, folder)
    if findings:
        told = [
            f"{_place(path, lines, key)}: {message}"
            for key, message in sorted(findings, key=lambda one: lines.get(one[0], 0))
        ]
        raise CommandFailed("\n".join(told), Exit.USAGE, about={"findings": told})
    return Manifest(path, folder / values.get("source", "."), _fields(values), lines)


def _reason(error: Exception) -> str:
    return f"is no TOML: {error}" if isinstance(error, tomllib.TOMLDecodeError) else f"can't be read: {error}"


def _read(content: Mapping[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The values by dotted keys, and what is wrong with the others."""
    values: dict[str, Any] = {}
    findings: list[tuple[str, str]] = []
    for key, value in _flat(content):
        check = CHECKS.get(key)
        if check is None:
            findings.append((key, _unknown(key)))
            continue
        try:
            values[key] = check(value)
        except ValueError as error:
            findings.append((key, str(error)))
    findings += [(key, "is missing") for key in ("name", "runtime", "handler") if key not in {*values, *dict(findings)}]
    return values, findings


def _flat(content: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        # An empty table says nothing, except where a key of its own checks it.
        if key in _TABLES and isinstance(value, dict) and (value or key not in CHECKS):
            yield from _flat({f"{key}.{inner}": one for inner, one in value.items()})
        else:
            yield key, value


def _unknown(key: str) -> str:
    near = difflib.get_close_matches(key, CHECKS, 1, 0.5) or [known for known in CHECKS if known.endswith(f".{key}")]
    return "is unknown" + (f"; did you mean {near[0]}?" if near else f"; known are {', '.join(CHECKS)}")


def _across(values: Mapping[str, Any], folder: Path) -> Iterator[tuple[str, str]]:
    """What only shows when the values are taken together."""
    runtime = rules.Runtime(values["runtime"])
    if not rules.is_handler(values["handler"], runtime):
        like = (
            "the program's name, such as main"
            if runtime is rules.Runtime.GO
            else "module.function, such as main.handler"
        )
        yield "handler", f"must be {like}"
    if not (folder / values.get("source", ".")).is_dir():
        yield "source", "is no folder"
    yield from http_across(values)


def _fields(values: Mapping[str, Any]) -> dict[str, Any]:
    limits = {name: values.get(f"limits.{name}", default) for name, default in LIMITS.items()}
    return {
        "name": values["name"],
        "version": values.get("version", ""),
        "runtime": values["runtime"],
        "handler": values["handler"],
        **limits,
        "retry": {name: values.get(f"retry.{name}", default) for name, default in RETRY.items()},
        "environment": values.get("environment", {}),
        "metadata": values.get("metadata", {}),
        "secrets": values.get("secrets", {}),
        "http": http_field(values),
    }


# -- lines


def _lines(text: str) -> dict[str, int]:
    """The line of each key. tomllib does not tell: this finds keys at the beginning of a line, which is where people write them."""
    found: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := _TABLE.match(line):
            table = _plain(header[1])
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            found.setdefault(f"{table}.{_plain(key[1])}".lstrip("."), number)
    return found


def _plain(key: str) -> str:
    return re.sub(r"[\"' ]", "", key)


def _place(path: Path, lines: Mapping[str, int], key: str) -> str:
    above = key
    while above and above not in lines:
        above = above.rpartition(".")[0]
    return f"{path}:{lines[above]}: {key}" if above else f"{path}: {key}"
