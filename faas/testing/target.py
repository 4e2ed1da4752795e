"""What a test names: a folder, a file, or `module:handler`; and what of it goes into a sandbox."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faas.domain.duration import parse_duration
from faas.domain.function import Network, Runtime, Spec

_SUFFIXES = {
    ".py": Runtime.PYTHON,
    ".js": Runtime.NODEJS,
    ".mjs": Runtime.NODEJS,
    ".cjs": Runtime.NODEJS,
    ".go": Runtime.GO,
}
# What a folder without `faas.toml` is taken for, by the file that it has.
_MAINS = {
    "main.py": (Runtime.PYTHON, "main.handler"),
    "index.js": (Runtime.NODEJS, "index.handler"),
    "index.mjs": (Runtime.NODEJS, "index.handler"),
    "main.go": (Runtime.GO, "main"),
}
MANIFEST = "faas.toml"


@dataclass(frozen=True, slots=True)
class Target:
    """A function under test.

    Attributes:
        name: how the function is called in its context.
        folder: what a Python function's modules are found from.
        code: the folder or file that is packed.
        importable: whether its module is imported by its ordinary name, as the test itself may do.
    """

    name: str
    folder: Path
    code: Path
    spec: Spec
    importable: bool = False

    def packed(self) -> bytes:
        """What would be deployed: one file, or an archive."""
        # Importing it costs what a test in process need not pay.
        from faas.cli.packing import pack

        if self.code.is_file():
            return self.code.read_bytes()
        if self.code == self.folder:
            return pack(self.folder).data
        # A package keeps its name: it is packed with the folder around it, and nothing of what else is in that.
        with tempfile.TemporaryDirectory(prefix="faas-package-") as around:
            shutil.copytree(self.code, Path(around) / self.code.name, ignore=shutil.ignore_patterns("__pycache__"))
            return pack(Path(around)).data


def resolve(named: str | Path, beside: Path, changes: Mapping[str, Any]) -> Target:
    """Find a function.

    Args:
        named: a folder (by its `faas.toml`, or by its `main.py`, `index.js` or `main.go`), a source file, or `module:handler`.
        beside: the folder that a relative path begins at; where there is nothing, the current folder.
        changes: fields of the function that the test sets: `handler`, `runtime`, `timeout`, `memory_mb`, `environment` …

    Raises:
        ValueError: there is no such thing, or a field is wrong.
    """
    path = _existing(Path(named), beside)
    if path is not None:
        return _of_folder(path, changes) if path.is_dir() else _of_file(path, changes)
    module, colon, handler = str(named).partition(":")
    if not colon or not module or not handler:
        raise ValueError(f"{named}: there is no such file or folder, and it has not the form module:handler")
    return _of_module(module, handler, changes)


def _existing(path: Path, beside: Path) -> Path | None:
    return next((one.resolve() for one in (beside / path, path) if one.exists()), None)


def _of_folder(folder: Path, changes: Mapping[str, Any]) -> Target:
    if (folder / MANIFEST).is_file():
        from faas.cli import manifest

        found = manifest.load(folder)
        source = found.source.resolve()
        return Target(found.name, source, source, _spec({**found.fields, **changes}))
    for main, (runtime, handler) in _MAINS.items():
        if (folder / main).is_file():
            return Target(folder.name, folder, folder, _spec({"runtime": runtime, "handler": handler, **changes}))
    if "runtime" in changes and "handler" in changes:
        return Target(folder.name, folder, folder, _spec(changes))
    raise ValueError(f"{folder}: has neither {MANIFEST} nor one of {', '.join(_MAINS)}; name runtime and handler")


def _of_file(file: Path, changes: Mapping[str, Any]) -> Target:
    runtime = _SUFFIXES.get(file.suffix)
    if runtime is None and "runtime" not in changes:
        raise ValueError(f"{file}: its runtime is not known by its name; name it")
    handler = "main" if runtime is Runtime.GO else f"{file.stem}.handler"
    return Target(file.stem, file.parent, file, _spec({"runtime": runtime, "handler": handler, **changes}))


def _of_module(module: str, handler: str, changes: Mapping[str, Any]) -> Target:
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None or not Path(found.origin).is_file():
        raise ValueError(f"{module}:{handler}: there is no module {module}")
    file = Path(found.origin)
    segments = module.split(".")
    around = file.parents[len(segments) - (0 if file.name == "__init__.py" else 1)]
    single = len(segments) == 1 and file.name != "__init__.py"
    spec = _spec({"runtime": Runtime.PYTHON, "handler": f"{module}.{handler}", **changes})
    return Target(module, around, file if single else around / segments[0], spec, importable=True)


def _spec(fields: Mapping[str, Any]) -> Spec:
    known = {
        name: fields[name]
        for name in ("handler", "version", "memory_mb", "cpus", "max_concurrency", "environment")
        if fields.get(name) is not None
    }
    known["timeout_ms"] = parse_duration(fields.get("timeout") or "30s")
    runtime = {"node": "nodejs"}.get(fields["runtime"], fields["runtime"])
    return Spec(Runtime(runtime), network=Network(fields.get("network") or "none"), **known)
