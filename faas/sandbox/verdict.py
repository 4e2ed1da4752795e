"""What an agent's answer, or the end of a process, means: outcomes. Nothing that an agent says is believed beyond its shape."""

from __future__ import annotations

import json
import signal
from typing import Any

from faas.domain.function import RESULT_BYTES
from faas.domain.invocation import Status
from faas.domain.outcome import (
    EXIT_ERROR,
    INIT_ERROR,
    INVALID_RESULT,
    OUT_OF_MEMORY,
    RESULT_TOO_LARGE,
    Outcome,
    class_name,
    failed,
)
from faas.sandbox.body import Death
from faas.sandbox.protocol import TOO_DEEP

NESTING = 200
_MESSAGE_CHARACTERS = 16 * 1024
_TRACE_LINES = 200
_LINE_CHARACTERS = 1000
# `json.dumps` makes an encoder at each call where it is not asked for the usual.
_encode = json.JSONEncoder(allow_nan=False).encode
_TOO_DEEP = f"The result is nested over {NESTING} deep."
_TOO_LARGE = f"The result is over {RESULT_BYTES // (1024 * 1024)} MiB as JSON."


def of_answer(answer: dict[str, Any], invocation_id: str) -> Outcome | None:
    """The outcome that a `result` or `error` frame means; None where the frame is neither, or is another call's."""
    if answer.get("type") == TOO_DEEP:
        return failed(INVALID_RESULT, _TOO_DEEP)
    if answer.get("id") != invocation_id:
        return None
    if answer.get("type") == "result":
        return _of_output(answer["output"]) if "output" in answer else _of_result(answer.get("result"))
    if answer.get("type") == "error":
        return _of_error(answer)
    return None


def of_init_error(answer: dict[str, Any]) -> Outcome:
    """The outcome of code that does not load."""
    if answer.get("kind") == "exit":
        return _of_error(answer)
    return failed(INIT_ERROR, _message(answer), _trace(answer))


def of_death(death: Death, memory_mb: int) -> Outcome:
    """The outcome of a process that ended in mid-call, or while loading."""
    if death.out_of_memory:
        return out_of_memory(memory_mb)
    return failed(EXIT_ERROR, _end(death.exit_code, death.signal))


def out_of_memory(memory_mb: int) -> Outcome:
    """The kernel killed it for want of memory."""
    return failed(OUT_OF_MEMORY, _out_of_memory(memory_mb))


def of_starved(outcome: Outcome, memory_mb: int) -> Outcome:
    """The outcome of a call that was answered, but in which the kernel killed a process for want of memory.

    What failed then, failed for that, and is told in the message; what succeeded, did without the process.
    """
    if outcome.failure is None:
        return outcome
    told = f"{_out_of_memory(memory_mb)}\n{outcome.failure.type}: {outcome.failure.message}"
    return failed(OUT_OF_MEMORY, told, outcome.failure.stack_trace)


def _out_of_memory(memory_mb: int) -> str:
    return f"The function used more than its {memory_mb} MB of memory."


def _of_output(output: Any) -> Outcome:
    """The result of a program: JSON where it is JSON, else the text without its last newline; nothing is null."""
    if not isinstance(output, str):
        return failed(INVALID_RESULT, "The output is not text.")
    if not output:
        return _of_result(None)
    try:
        value = json.loads(output, parse_constant=_refuse)
    except ValueError:
        value = output.removesuffix("\n")
    except RecursionError:
        return failed(INVALID_RESULT, _TOO_DEEP)
    return _of_result(value)


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _of_result(value: Any) -> Outcome:
    if _too_deep(value):
        return failed(INVALID_RESULT, _TOO_DEEP)
    try:
        text = _encode(value)
    except ValueError:
        return failed(INVALID_RESULT, "The result holds a number that JSON can't hold.")
    # Escapes make ASCII of everything, up to three times the bytes; the limit is on the text as a client writes it.
    if (
        len(text) > RESULT_BYTES
        and len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")) > RESULT_BYTES
    ):
        return failed(RESULT_TOO_LARGE, _TOO_LARGE)
    return Outcome(Status.SUCCEEDED, result=text)


def _too_deep(value: Any) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(NESTING):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _of_error(answer: dict[str, Any]) -> Outcome:
    kind, message = answer.get("kind"), _message(answer)
    if kind == "exit":
        end = _end(_small(answer.get("code")), _small(answer.get("signal")))
        return failed(EXIT_ERROR, f"{end}\n{message}" if message else end)
    if kind == "invalid_result":
        return failed(INVALID_RESULT, message)
    if kind == "too_large":
        return failed(RESULT_TOO_LARGE, _TOO_LARGE)
    return failed(class_name(answer.get("class")), message, _trace(answer))


def _end(exit_code: int | None, number: int | None) -> str:
    if number is None:
        return "The process ended." if exit_code is None else f"The process exited with status {exit_code}."
    try:
        return f"The process was killed by {signal.Signals(number).name} ({number})."
    except ValueError:
        return f"The process was killed by signal {number}."


def _small(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255 else None


def _message(answer: dict[str, Any]) -> str:
    return clean(answer.get("message"), _MESSAGE_CHARACTERS)


def _trace(answer: dict[str, Any]) -> tuple[str, ...]:
    lines = answer.get("stack_trace")
    if not isinstance(lines, list):
        return ()
    # The innermost calls are the last ones, and say most.
    return tuple(clean(line, _LINE_CHARACTERS) for line in lines[-_TRACE_LINES:])


def clean(text: Any, most: int) -> str:
    """Text that any JSON tool and PostgreSQL can hold: no NUL, no lone surrogates, at most `most` characters."""
    if not isinstance(text, str):
        return ""
    if len(text) > most:
        text = text[: most - 1] + "…"
    whole: str = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\0", "\ufffd")
