"""Compiling a revision once, in a sandbox, before it runs."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from faas.db import builds
from faas.domain import outcome as outcomes
from faas.domain.function import Revision
from faas.domain.outcome import Failure
from faas.errors import ClientError, DatabaseDown, FunctionError, PlatformError
from faas.sandbox import gobuild
from faas.sandbox.shelf import unpack_source
from faas.telemetry import logs
from faas.worker.context import Context

T = TypeVar("T")
log = logging.getLogger("faas.worker")

_COMPILE_SECONDS = 300.0
_FAILURES = 3
_PAUSE_SECONDS = 1.0
_REASON_CHARACTERS = 16 * 1024


def run(context: Context, function_id: str, number: int) -> None:
    """Build a revision that was published for it; nothing happens where it is built, or another living worker builds it."""
    if context.draining.is_set():
        # Not given on: the reconciler publishes a build that nobody has.
        return
    with context.build_slots, logs.bind(function_id=function_id, revision=number):
        try:
            revision = builds.claim(context.database, function_id, number, context.incarnation)
            if revision is not None:
                _build(context, revision)
        except DatabaseDown as error:
            log.warning("not built: %s", error)


def _build(context: Context, revision: Revision) -> None:
    try:
        with tempfile.TemporaryDirectory(prefix="build-", dir=_folder(context)) as folder:
            words = _compile(context, revision, Path(folder))
    except (ClientError, FunctionError) as error:
        words = str(error)
    except DatabaseDown:
        raise
    except Exception as error:
        log.warning("the platform failed to build: %s", error, exc_info=not isinstance(error, PlatformError | OSError))
        if _insist(context, lambda: builds.give_back(context.database, revision)) >= _FAILURES:
            _fail(context, revision, f"The platform could not build it: {error}")
        return
    if words is not None:
        _fail(context, revision, words)


def _compile(context: Context, revision: Revision, folder: Path) -> str | None:
    """The compiler's words where it failed; else the revision is active."""
    source, program = folder / "source", folder / "out" / "main"
    source.mkdir()
    program.parent.mkdir()
    unpack_source(revision.spec, context.storage.get(revision.code_digest), source)
    words = context.engine.compile(source, program, timeout_s=_COMPILE_SECONDS) or gobuild.complaint(program)
    if words is None:
        digest = context.storage.put_file(program)
        context.publisher.announce(run=_insist(context, lambda: builds.succeed(context.database, revision, digest)))
        log.info("built")
    return words


def _fail(context: Context, revision: Revision, words: str) -> None:
    reason = (
        words.replace("\0", "").encode("utf-8", "replace").decode("utf-8")[-_REASON_CHARACTERS:]
        or "It does not compile."
    )
    error = json.dumps(asdict(Failure(outcomes.INIT_ERROR, reason)))
    context.publisher.announce(ended=_insist(context, lambda: builds.fail(context.database, revision, reason, error)))
    log.info("does not build")


def _insist(context: Context, write: Callable[[], T]) -> T:
    """Write when PostgreSQL is there again: a living worker's claim is nobody else's to end. Raises DatabaseDown where this worker stops before."""
    while True:
        try:
            return write()
        except DatabaseDown as error:
            log.warning("built, not written yet: %s", error)
            if context.draining.wait(_PAUSE_SECONDS):
                raise


def _folder(context: Context) -> Path:
    folder = context.settings.worker_work_dir / "builds"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder
