"""Functions and their revisions, and the rules that both keep. No I/O."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from faas.domain.http import Http
from faas.domain.namespace import DEFAULT

KIB = 1024
MIB = 1024 * 1024

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HANDLER = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_-]*[/.])*[A-Za-z0-9_][A-Za-z0-9_-]*\.[A-Za-z0-9_][A-Za-z0-9_-]*")
_PROGRAM = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")

VERSION_CHARACTERS = 64
HANDLER_CHARACTERS = 256
PACKED_BYTES = 50 * MIB
UNPACKED_BYTES = 250 * MIB
ENVIRONMENT_BYTES = 32 * KIB
METADATA_BYTES = 16 * KIB
PAYLOAD_BYTES = 6 * MIB
RESULT_BYTES = 6 * MIB
LOG_BYTES = 1 * MIB
MIN_TIMEOUT_MS, MAX_TIMEOUT_MS = 100, 15 * 60 * 1000
MIN_INIT_MS = 10_000

_RESERVED_PREFIXES = ("FAAS_", "AWS_LAMBDA_", "LD_", "PYTHON", "NODE_")
_RESERVED = frozenset({"PATH", "HOME", "TMPDIR", "IFS", "BASH_ENV", "ENV"})


class Runtime(enum.StrEnum):
    """The languages a function may be written in."""

    PYTHON = "python"
    NODEJS = "nodejs"
    GO = "go"


class Network(enum.StrEnum):
    """What a sandbox reaches: nothing, or public addresses."""

    NONE = "none"
    EGRESS = "egress"


class FunctionState(enum.StrEnum):
    """The state of a revision; a function has its newest revision's."""

    BUILDING = "building"
    ACTIVE = "active"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Retry:
    """How failures and timeouts of the function are tried again. Durations in milliseconds."""

    max_attempts: int = 1
    backoff_ms: int = 1_000
    max_backoff_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class Spec:
    """What an owner says of a function: all that a revision pins but its code.

    Attributes:
        secrets: a variable's name to the name of the secret whose value it gets.
    """

    runtime: Runtime
    handler: str
    version: str = ""
    timeout_ms: int = 30_000
    memory_mb: int = 128
    cpus: float = 1.0
    max_concurrency: int = 10
    network: Network = Network.NONE
    retry: Retry = field(default_factory=Retry)
    environment: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    http: Http = field(default_factory=Http)


@dataclass(frozen=True, slots=True)
class Function:
    """A function as its owner sees it: its newest revision.

    Attributes:
        code_digest: `sha256:…` of the decoded bytes of `code`; `code_size` their number.
    """

    id: str
    name: str
    revision: int
    spec: Spec
    state: FunctionState
    state_reason: str | None
    code_digest: str
    code_size: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Revision:
    """An immutable revision as a worker needs it.

    Attributes:
        artifact_digest: digest of what runs: the compiled program for Go, else the code itself.
    """

    function_id: str
    function_name: str
    number: int
    spec: Spec
    code_digest: str
    artifact_digest: str
    namespace: str = DEFAULT

    @property
    def key(self) -> tuple[str, int]:
        """What a sandbox belongs to."""
        return self.function_id, self.number


def is_handler(text: str, runtime: Runtime) -> bool:
    """Whether a handler is well formed: `module.function`, or a program's name for Go (`main`, `cmd.main` too)."""
    if len(text) > HANDLER_CHARACTERS:
        return False
    if runtime is Runtime.GO and _PROGRAM.fullmatch(text):
        return True
    return _HANDLER.fullmatch(text) is not None


def is_reserved(name: str) -> bool:
    """Whether a name of the environment belongs to the platform or the runtimes."""
    return name in _RESERVED or name.startswith(_RESERVED_PREFIXES)


def source_file(spec: Spec, source: bytes) -> str:
    """The path under which a single source file is stored: the handler's module (`main.handler` makes `main.py`).

    A Node.js source that has `import` or `export` statements at the start of a line, and no `require` or `module.exports`, is an ES module (`.mjs`).
    """
    module = spec.handler.rpartition(".")[0] or spec.handler
    if spec.runtime is Runtime.GO:
        return "main.go"
    path = module.replace(".", "/")
    if spec.runtime is Runtime.PYTHON:
        return f"{path}.py"
    return f"{path}.mjs" if _is_es_module(source) else f"{path}.js"


_ESM = re.compile(
    rb"^\s*(?:export\s+(?:default|const|let|var|function|async|class|\{|\*)|import\s+(?:[\w*{\"']))",
    re.MULTILINE,
)
_CJS = re.compile(rb"^\s*(?:module\.)?exports\b", re.MULTILINE)


def _is_es_module(source: bytes) -> bool:
    return _ESM.search(source) is not None and _CJS.search(source) is None
