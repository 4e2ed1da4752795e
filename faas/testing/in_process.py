"""Python functions in the test's own process: the debugger, coverage and monkeypatching reach them; limits on memory and the network do not."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import io
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

from faas.domain import outcome as outcomes
from faas.domain.invocation import Status
from faas.domain.outcome import Outcome, class_name, failed, timed_out
from faas.sandbox.call import Call
from faas.testing.target import Target


class InProcess:
    """A Python function that is imported here. Its module is loaded at the first call, and kept for the next ones as a warm sandbox keeps it."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._handler: Callable[[Any, Any], Any] | None = None
        self._modules: dict[str, ModuleType] = {}

    def call(self, call: Call) -> Outcome:
        """Run one call. The handler runs in a thread: one that is over its time is left behind."""
        work = _Work(self._target, call)
        with self._place(), _environment(self._target.spec.environment), work.listening():
            cold = self._handler is None
            began = time.monotonic()
            try:
                handler = self._handler = self._handler or self._load()
            except Exception as error:
                return work.ended(failed(outcomes.INIT_ERROR, f"{type(error).__name__}: {error}", _trace(error)), 0)
            init_ms = round((time.monotonic() - began) * 1000) if cold else 0
            outcome = work.run(handler)
        return work.ended(outcome, init_ms, cold=cold)

    def close(self) -> None:
        """Nothing is left behind."""

    def _load(self) -> Callable[[Any, Any], Any]:
        path, _, name = self._target.spec.handler.rpartition(".")
        module = importlib.import_module(path.replace("/", "."))
        handler = getattr(module, name)
        if not callable(handler):
            raise TypeError(f"the handler {name!r} of the module {path!r} can't be called")
        return handler  # type: ignore[no-any-return]

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        """The function's folder first on the path. Its modules are its own: every folder has a `main`, and none must meet another's."""
        if self._target.importable:
            yield
            return
        folder = self._target.folder
        before = {name: module for name, module in sys.modules.items() if name in self._own_names()}
        for name in before:
            del sys.modules[name]
        sys.modules.update(self._modules)
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()
        try:
            yield
        finally:
            sys.path.remove(str(folder))
            self._modules = {name: module for name, module in sys.modules.items() if _is_in(module, folder)}
            for name in self._modules:
                del sys.modules[name]
            sys.modules.update(before)

    def _own_names(self) -> set[str]:
        """Names of modules that the folder has itself, and those inside of them."""
        tops = {entry.stem for entry in self._target.folder.iterdir() if entry.suffix == ".py" or entry.is_dir()}
        return {name for name in sys.modules if name.partition(".")[0] in tops and name not in sys.stdlib_module_names}


@dataclass(slots=True)
class Context:
    """The second argument of a handler, with the names that it has in a sandbox."""

    function_name: str
    function_version: str
    memory_limit_in_mb: int
    invocation_id: str
    headers: dict[str, str]
    deadline: float

    @property
    def aws_request_id(self) -> str:
        """AWS Lambda's name of the invocation's id."""
        return self.invocation_id

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function is over its time."""
        return max(0, round((self.deadline - time.monotonic()) * 1000))


class _Work:
    """One call: its thread, its log, its time."""

    def __init__(self, target: Target, call: Call) -> None:
        self._target, self._call = target, call
        self._log = io.StringIO()
        self._outcome: Outcome | None = None
        self._took_ms = 0

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Keep what is printed, and show it to the test as well."""
        with (
            contextlib.redirect_stdout(_Tee(sys.stdout, self._log)),
            contextlib.redirect_stderr(_Tee(sys.stderr, self._log)),
        ):
            yield

    def run(self, handler: Callable[[Any, Any], Any]) -> Outcome:
        """The outcome of the handler, or a timeout."""
        seconds = self._call.timeout_ms / 1000
        began = time.monotonic()
        context = Context(
            self._target.name,
            self._target.spec.version,
            self._target.spec.memory_mb,
            self._call.invocation_id,
            self._call.headers,
            began + seconds,
        )
        thread = threading.Thread(target=self._handle, args=(handler, context), name="faas-function", daemon=True)
        thread.start()
        thread.join(seconds)
        self._took_ms = round((time.monotonic() - began) * 1000)
        return self._outcome or timed_out(f"The function did not end within {seconds:g} s.")

    def ended(self, outcome: Outcome, init_ms: int, *, cold: bool = True) -> Outcome:
        """The outcome with what was measured and printed."""
        return Outcome(
            outcome.status,
            outcome.result,
            outcome.failure,
            logs=self._log.getvalue().encode("utf-8", "backslashreplace"),
            init_ms=init_ms,
            duration_ms=self._took_ms,
            cold_start=cold,
        )

    def _handle(self, handler: Callable[[Any, Any], Any], context: Context) -> None:
        try:
            value = handler(json.loads(self._call.payload), context)
            if inspect.isawaitable(value):
                value = asyncio.run(_result(value))
        except SystemExit as error:
            self._outcome = failed(outcomes.EXIT_ERROR, f"The function exited with {error.code}.")
        except BaseException as error:
            self._outcome = failed(class_name(type(error).__name__), str(error), _trace(error))
        else:
            self._outcome = _as_json(value)


async def _result(awaitable: Any) -> Any:
    return await awaitable


def _as_json(value: Any) -> Outcome:
    try:
        return Outcome(Status.SUCCEEDED, result=json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        return failed(outcomes.INVALID_RESULT, f"The result can't be JSON: {error}")


def _trace(error: BaseException) -> tuple[str, ...]:
    """The lines of a stack trace, without the frames of this module and of importing."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and "importlib" not in frame.filename
    ]
    text = "".join(traceback.format_list(frames))
    return tuple(line.removeprefix("  ") for line in text.rstrip("\n").split("\n")) if text else ()


def _is_in(module: ModuleType, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).is_relative_to(folder)


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class _Tee(io.TextIOBase):
    """Writes to both."""

    def __init__(self, shown: TextIO, kept: io.StringIO) -> None:
        self._shown, self._kept = shown, kept

    def write(self, text: str) -> int:
        self._kept.write(text)
        return self._shown.write(text)

    def flush(self) -> None:
        self._shown.flush()
