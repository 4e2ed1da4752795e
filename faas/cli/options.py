"""Kinds of values that options of several commands take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from faas.cli.failures import CommandFailed, Exit


class _Duration(click.ParamType[float]):
    """A duration such as `500ms` or `1m30s`, or a number of seconds; in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds."""
        from faas.domain.duration import parse_duration

        try:
            return parse_duration(float(value) if _is_number(value) else value) / 1000
        except ValueError:
            self.fail(f"{value!r} is no duration such as 500ms, 30s or 1m30s", param, ctx)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


DURATION = _Duration()


def headers(given: Iterable[str]) -> dict[str, str]:
    """The headers of `NAME=VALUE` options. Raises CommandFailed."""
    found = {}
    for one in given:
        name, mark, value = one.partition("=")
        if not mark or not name:
            raise CommandFailed(f"-H takes NAME=VALUE, and not {one!r}", Exit.USAGE)
        found[name] = value
    return found
