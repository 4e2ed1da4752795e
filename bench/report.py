"""What comes out: a table for people, a file for programs."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.catalogue import BY_ID
from bench.result import Result, rounded

_PACKAGES = ("celery", "kombu", "redis", "flask", "gunicorn", "sqlalchemy", "psycopg2-binary", "docker")
# A table wider than this would be folded where the output is no terminal.
_WIDTH = 150


def machine() -> dict[str, Any]:
    """Where it was measured."""
    return {
        "cpus": os.cpu_count(),
        "cpu": _cpu(),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1 << 20),
        "kernel": platform.release(),
        "system": _system(),
    }


def versions(servers: Mapping[str, str]) -> dict[str, str]:
    """Of Python, of the packages in play, and of the servers that are given."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), **found, **servers}


def write(file: Path, document: Mapping[str, Any]) -> None:
    """Write the results whole, or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps(document, indent=2) + "\n")
    draft.replace(file)


def show(results: Sequence[Result]) -> None:
    """Print the table."""
    table = Table(title="The platform against its references", caption="spread: least and greatest of a round")
    for heading in ("id", "measure", "against"):
        table.add_column(heading)
    for heading in ("value", "reference", "ratio", "spread", "must", "aim"):
        table.add_column(heading, justify="right")
    table.add_column("holds")
    for result in results:
        table.add_row(*_cells(result))
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    console.print(table)
    for result in results:
        if result.note:
            console.print(f"{result.id}: {result.note}", markup=False, highlight=False)


def _cells(result: Result) -> list[str]:
    row = BY_ID[result.id]
    sign, times = ("≥" if row.higher else "≤"), ("×" if row.reference else "")
    reached = "aim" if row.within(_judged(result), row.aim) else "must"
    return [
        row.id,
        row.title,
        row.reference or "–",
        f"{rounded(result.value):g} {row.unit}",
        "–" if result.reference is None else f"{rounded(result.reference):g} {row.unit}",
        "–" if result.ratio is None else f"{result.ratio:.2f}×",
        f"{result.spread[0]:.2f}–{result.spread[1]:.2f}",
        f"{sign} {row.must:g}{times}",
        f"{sign} {row.aim:g}{times}",
        "–" if result.holds is None else f"[green]{reached}[/]" if result.holds else "[red]no[/]",
    ]


def _judged(result: Result) -> float:
    return result.value if result.ratio is None else result.ratio


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.system()
