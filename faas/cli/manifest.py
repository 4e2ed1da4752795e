"""`faas.toml`: what a function is, beside its code. Every finding names the key and the line."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faas.cli.failures import CommandFailed, Exit
from faas.domain import function as rules
from faas.domain.duration import format_duration, parse_duration

FILE = "faas.toml"
_DAY_MS = 24 * 60 * 60 * 1000
_RUNTIMES = {**{runtime.value: runtime.value for runtime in rules.Runtime}, "node": "nodejs"}
_TABLE = re.compile(r"\s*\[\s*([A-Za-z0-9_.\-\"' ]+?)\s*\]")
_KEY = re.compile(r"\s*([A-Za-z0-9_.\-\"' ]+?)\s*=")

Check = Callable[[Any], Any]


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
        key = f"limits.{field}" if field in _LIMITS else field
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
        check = _CHECKS.get(key)
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
        if key in ("limits", "retry") and isinstance(value, dict):
            yield from ((f"{key}.{inner}", one) for inner, one in value.items())
        else:
            yield key, value


def _unknown(key: str) -> str:
    near = difflib.get_close_matches(key, _CHECKS, 1, 0.5) or [known for known in _CHECKS if known.endswith(f".{key}")]
    return "is unknown" + (f"; did you mean {near[0]}?" if near else f"; known are {', '.join(_CHECKS)}")


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


def _fields(values: Mapping[str, Any]) -> dict[str, Any]:
    limits = {name: values.get(f"limits.{name}", default) for name, default in _LIMITS.items()}
    return {
        "name": values["name"],
        "version": values.get("version", ""),
        "runtime": values["runtime"],
        "handler": values["handler"],
        **limits,
        "retry": {name: values.get(f"retry.{name}", default) for name, default in _RETRY.items()},
        "environment": values.get("environment", {}),
        "metadata": values.get("metadata", {}),
        "secrets": values.get("secrets", {}),
    }


# -- values


def _text(most: int) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or len(value) > most:
            raise ValueError(f"must be text of at most {most} characters")
        return value

    return check


def _name(value: Any) -> str:
    if not isinstance(value, str) or not rules.NAME.fullmatch(value):
        raise ValueError("must be 1 to 64 letters, digits, `-` and `_`, beginning with a letter or digit")
    return value


def _choice(known: Mapping[str, str]) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in known:
            raise ValueError(f"must be one of {', '.join(known)} (is {value!r})")
        return known[value]

    return check


def _number(least: float, most: float, *, whole: bool) -> Check:
    def check(value: Any) -> float:
        kinds = (int,) if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
            raise ValueError(f"must be a {'whole ' if whole else ''}number from {least:g} to {most:g} (is {value!r})")
        return value

    return check


def _duration(least_ms: int, most_ms: int) -> Check:
    def check(value: Any) -> str:
        try:
            milliseconds = parse_duration(value)
        except ValueError:
            raise ValueError(
                f'must be a duration such as "500ms" or "1m30s", or a number of seconds (is {value!r})'
            ) from None
        if not least_ms <= milliseconds <= most_ms:
            raise ValueError(f"must be from {format_duration(least_ms)} to {format_duration(most_ms)} (is {value!r})")
        return format_duration(milliseconds)

    return check


def _environment(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise ValueError('must be a table of texts, such as STAGE = "test"')
    for name in value:
        if not rules.ENVIRONMENT_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a variable")
    return value


def _secrets(value: Any) -> dict[str, str]:
    bindings = _environment(value)
    for name in bindings.values():
        if not rules.NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a secret (its value is set by: faas secrets set NAME)")
    return bindings


def _metadata(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not _is_json(value):
        raise ValueError("must be a table of what JSON can hold (no dates or times)")
    return value


def _is_json(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_json, value.values()))
    return all(map(_is_json, value)) if isinstance(value, list) else isinstance(value, str | int | float | bool)


_DEFAULT = rules.Spec(rules.Runtime.PYTHON, "")
_LIMITS = {
    "timeout": format_duration(_DEFAULT.timeout_ms),
    "memory_mb": _DEFAULT.memory_mb,
    "cpus": _DEFAULT.cpus,
    "max_concurrency": _DEFAULT.max_concurrency,
    "network": _DEFAULT.network.value,
}
_RETRY = {
    "max_attempts": _DEFAULT.retry.max_attempts,
    "backoff": format_duration(_DEFAULT.retry.backoff_ms),
    "max_backoff": format_duration(_DEFAULT.retry.max_backoff_ms),
}
# The same bounds as the API's (docs of `POST /functions`), so that they are told with a line before anything is sent.
_CHECKS: dict[str, Check] = {
    "name": _name,
    "version": _text(rules.VERSION_CHARACTERS),
    "runtime": _choice(_RUNTIMES),
    "handler": _text(rules.HANDLER_CHARACTERS),
    "source": _text(1024),
    "limits.timeout": _duration(rules.MIN_TIMEOUT_MS, rules.MAX_TIMEOUT_MS),
    "limits.memory_mb": _number(32, 4096, whole=True),
    "limits.cpus": _number(0.1, 8, whole=False),
    "limits.max_concurrency": _number(1, 1000, whole=True),
    "limits.network": _choice({network.value: network.value for network in rules.Network}),
    "retry.max_attempts": _number(1, 10, whole=True),
    "retry.backoff": _duration(0, _DAY_MS),
    "retry.max_backoff": _duration(0, _DAY_MS),
    "environment": _environment,
    "metadata": _metadata,
    "secrets": _secrets,
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
    line = lines.get(key) or lines.get(key.rpartition(".")[0])
    return f"{path}:{line}: {key}" if line else f"{path}: {key}"
