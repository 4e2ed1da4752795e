"""The values of `faas.toml`: what each may be, and what it is where the file does not say. Checks return the value as the API has it, or raise ValueError."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from faas.domain import function as rules
from faas.domain import http
from faas.domain.duration import format_duration, parse_duration

_DAY_MS = 24 * 60 * 60 * 1000
_RUNTIMES = {**{runtime.value: runtime.value for runtime in rules.Runtime}, "node": "nodejs"}
_MOST_TEXTS, _MOST_CHARACTERS = 50, 300

Check = Callable[[Any], Any]


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


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false (is {value!r})")
    return value


def _texts(right: Callable[[str], object], like: str, change: Callable[[str], str]) -> Check:
    """A list of texts; they are changed to how browsers send them."""

    def check(value: Any) -> list[str]:
        if not isinstance(value, list) or not 1 <= len(value) <= _MOST_TEXTS:
            raise ValueError(f"must be a list of 1 to {_MOST_TEXTS} texts, such as {like}")
        for one in value:
            if not isinstance(one, str) or len(one) > _MOST_CHARACTERS or not (one == http.ANY or right(one)):
                raise ValueError(f"{one!r} is not right; it must be such as {like}")
        return [change(one) for one in value]

    return check


def _cors(value: Any) -> None:
    raise ValueError(
        f'must be a table with allow_origins, such as allow_origins = ["https://app.example"] (is {value!r})'
    )


def http_across(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What of `http` only shows when its values are taken together: keys, and what is wrong with them."""
    origins = values.get("http.cors.allow_origins")
    if origins is None and any(key.startswith("http.cors.") for key in values):
        yield "http.cors", "allow_origins is missing"
    if origins and http.ANY in origins and values.get("http.cors.allow_credentials"):
        yield "http.cors.allow_credentials", 'must not be together with the origin "*"'


def http_field(values: Mapping[str, Any]) -> dict[str, Any]:
    """The API's field `http`, whole."""
    cors = {name: values.get(f"http.cors.{name}", default) for name, default in _CORS.items()}
    return {"public": values.get("http.public", False), "cors": cors if cors["allow_origins"] else None}


_DEFAULT = rules.Spec(rules.Runtime.PYTHON, "")
LIMITS = {
    "timeout": format_duration(_DEFAULT.timeout_ms),
    "memory_mb": _DEFAULT.memory_mb,
    "cpus": _DEFAULT.cpus,
    "max_concurrency": _DEFAULT.max_concurrency,
    "network": _DEFAULT.network.value,
}
RETRY = {
    "max_attempts": _DEFAULT.retry.max_attempts,
    "backoff": format_duration(_DEFAULT.retry.backoff_ms),
    "max_backoff": format_duration(_DEFAULT.retry.max_backoff_ms),
}
_OF_CORS = http.Cors(())
_CORS: dict[str, Any] = {
    "allow_origins": list(_OF_CORS.allow_origins),
    "allow_methods": list(_OF_CORS.allow_methods),
    "allow_headers": list(_OF_CORS.allow_headers),
    "max_age": format_duration(_OF_CORS.max_age_ms),
    "allow_credentials": _OF_CORS.allow_credentials,
}
# The same bounds as the API's (docs of `POST /functions`), so that they are told with a line before anything is sent.
CHECKS: dict[str, Check] = {
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
    "http.public": _flag,
    "http.cors": _cors,
    "http.cors.allow_origins": _texts(http.ORIGIN.fullmatch, '["https://app.example"] or ["*"]', str.lower),
    "http.cors.allow_methods": _texts(http.TOKEN.fullmatch, '["GET", "POST"] or ["*"]', str.upper),
    "http.cors.allow_headers": _texts(http.TOKEN.fullmatch, '["Content-Type"] or ["*"]', str),
    "http.cors.max_age": _duration(0, _DAY_MS),
    "http.cors.allow_credentials": _flag,
}
