"""Bringing a folder to the server: a new function, a new revision, or nothing where nothing has changed."""

from __future__ import annotations

import base64
import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faas.cli import manifest, packing, uploading
from faas.cli.context import App
from faas.cli.failures import CommandFailed, Exit
from faas.cli.manifest import Manifest

_BUILD_S = 300.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 0.5


@dataclass(frozen=True, slots=True)
class Deployed:
    """What came of it. `change` is `created`, `updated` or `unchanged`; `function` is the record, active."""

    change: str
    function: dict[str, Any]
    package: packing.Package
    seconds: float


def deploy(app: App, folder: Path) -> Deployed:
    """Create or update the function of a folder, and wait until it is built.

    Raises:
        CommandFailed: `faas.toml` is wrong, the code can't be packed, the server refuses a value, or the code does not build.
    """
    began = time.monotonic()
    described = manifest.load(folder)
    package = packing.pack(described.source)
    before = _current(app, described.name)
    change, function = _bring(app, described, package, before)
    if function["state"] == "building":
        with uploading.waiting(f"Building {described.name}"):
            function = _await_build(app, function)
    if function["state"] == "failed":
        raise CommandFailed(
            f"{described.name} revision {function['revision']} does not build:\n{function['state_reason']}",
            hint="repair it, and deploy again",
            about={"function": function},
        )
    return Deployed(change, function, package, time.monotonic() - began)


def _bring(
    app: App, described: Manifest, package: packing.Package, before: dict[str, Any] | None
) -> tuple[str, dict[str, Any]]:
    digest = f"sha256:{hashlib.sha256(package.data).hexdigest()}"
    fields = described.fields if before is None else _changes(described.fields, before)
    if before is not None and before["code_digest"] == digest and before["state"] != "failed":
        if not fields:
            return "unchanged", before
        # The code is there already.
        return "updated", _sent(app, described, "PUT", _path(described.name), fields)
    body = {**fields, "code": base64.b64encode(package.data).decode("ascii")}
    if before is None:
        return "created", _sent(app, described, "POST", "/functions", body)
    return "updated", _sent(app, described, "PUT", _path(described.name), body)


def _changes(wanted: dict[str, Any], have: dict[str, Any]) -> dict[str, Any]:
    """What is not yet as it should be. Durations are compared as text: both sides write them in the same, shortest way."""
    return {name: value for name, value in wanted.items() if have.get(name) != value}


def _current(app: App, name: str) -> dict[str, Any] | None:
    from faas.client.errors import NotFound

    try:
        return dict(app.get(_path(name)))
    except NotFound:
        return None


def _sent(app: App, described: Manifest, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer. Values that the server refuses are told with their lines in `faas.toml`."""
    from faas.client.errors import Invalid

    try:
        return uploading.send(app, method, path, body)
    except Invalid as error:
        told = [f"{_where(described, field)}: {' '.join(messages)}" for field, messages in error.errors.items()]
        raise CommandFailed("\n".join(told) or error.detail, Exit.USAGE, about={"problem": error.problem}) from None


def _where(described: Manifest, field: str) -> str:
    return f"{described.source}: the code" if field == "code" else described.where(field)


def _await_build(app: App, function: dict[str, Any]) -> dict[str, Any]:
    deadline, pause = time.monotonic() + _BUILD_S, _FIRST_PAUSE_S
    while function["state"] == "building":
        if time.monotonic() > deadline:
            raise CommandFailed(
                f"{function['name']} is still building after {_BUILD_S:.0f} s",
                Exit.UNFINISHED,
                hint=f"faas get {function['name']} tells when it is active; faas doctor whether a worker is alive",
            )
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE_S)
        function = dict(app.get(_path(function["id"])))
    return function


def _path(ref: str) -> str:
    from faas.client.calls import function_path

    return function_path(ref)
