"""`faas deploy --watch`: deploy at each change."""

from __future__ import annotations

import contextlib
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from faas.cli import manifest, output
from faas.cli.context import App
from faas.cli.deploying import deploy
from faas.cli.explaining import explain
from faas.cli.packing import IGNORE_FILE, Ignores
from faas.errors import FaasError

if TYPE_CHECKING:
    from watchfiles import Change

# An editor writes a file in several steps: changes that are so close together are one.
_TOGETHER_MS, _STEP_MS = 200, 30
# After so long without a change it is looked whether there is something else to do.
_LOOK_MS = 200


def watch_and_deploy(app: App, folder: Path) -> None:
    """Deploy a folder now and at each change, until Ctrl-C. What goes wrong is said, and the next change is the next try.

    Raises:
        CommandFailed: there is no usable `faas.toml` at the beginning.
    """
    from watchfiles import watch

    source = manifest.load(folder).source
    watched = False
    with contextlib.suppress(KeyboardInterrupt):
        for changes in watch(
            *{folder.resolve(), source.resolve()},
            watch_filter=lambda _, path: _is_part(folder.resolve(), source.resolve(), Path(path)),
            debounce=_TOGETHER_MS,
            step=_STEP_MS,
            rust_timeout=_LOOK_MS,
            yield_on_timeout=True,
        ):
            if changes:
                output.note(f"{_clock()} changed: {_names(changes, folder.resolve())}")
            # The first deployment is one of what is watched already, so no change between the two is lost.
            if changes or not watched:
                _deploy_once(app, folder)
            if not watched:
                output.note("Watching for changes; Ctrl-C ends it.")
                watched = True
    output.note("")


def _deploy_once(app: App, folder: Path) -> None:
    try:
        deployed = deploy(app, folder)
    except FaasError as error:
        failure = explain(error, app)
        for line in failure.message.splitlines():
            output.note(f"{_clock()} {line}")
        return
    function = deployed.function
    if app.json:
        output.show_json({"change": deployed.change, "function": function})
    else:
        output.note(
            f"{_clock()} {deployed.change} {function['name']}, revision {function['revision']}, in {deployed.seconds:.2f} s"
        )


def _is_part(folder: Path, source: Path, path: Path) -> bool:
    """Whether a change of a path may change what is deployed."""
    if path in (folder / manifest.FILE, source / IGNORE_FILE):
        return True
    if not path.is_relative_to(source):
        return False
    ignores = Ignores(source)
    relative = path.relative_to(source)
    parents = [parent.as_posix() for parent in relative.parents if parent != Path()]
    return not ignores.match(relative.as_posix()) and not any(ignores.match(parent, folder=True) for parent in parents)


def _names(changes: set[tuple[Change, str]], folder: Path) -> str:
    """What to call a change. Editors make files that are gone at once: only what is still there is named."""
    paths = sorted({Path(path) for _, path in changes if Path(path).exists()})
    names = [f"{path.relative_to(folder) if path.is_relative_to(folder) else path}" for path in paths]
    if not names:
        return "something was removed"
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _clock() -> str:
    return f"{datetime.now():%H:%M:%S}"
