"""What a Python function sees, and what becomes of what it does."""

from __future__ import annotations

import json

import pytest
from sandbox_lab import ENVIRONMENT, HEADERS, Laboratory, Workshop, invoke, line_of, message, trace

from faas.domain.function import MIB, Runtime
from faas.domain.invocation import Status
from faas.domain.outcome import Outcome


def test_a_result_comes_back_as_it_was(python: Laboratory) -> None:
    value = {
        "text": '☂ 🦄 \u2028 </script> \\ "',
        "numbers": [0, -1.5, 1e-7, 2**53 + 1, 2**80],
        "none": None,
        "empty": {},
        "": [True, False],
    }
    assert python.result("echo", value=value) == value


def test_a_large_payload_and_result_come_through_whole(python: Laboratory) -> None:
    text = ("☂" + "x" * 97 + "🦄\n") * (5 * MIB // 106)
    assert python.result("echo", value=text) == text


def test_the_context_tells_of_the_call(python: Laboratory) -> None:
    seen = python.result("seen", headers=HEADERS, timeout_ms=20_000)
    assert seen["function_name"] == "lab"
    assert seen["function_version"] == "1.0"
    assert seen["memory_limit_in_mb"] == 256
    assert seen["aws_request_id"] == seen["invocation_id"]
    assert seen["headers"] == HEADERS
    assert 10_000 < seen["left"] <= 20_000
    assert python.result("seen")["headers"] == {}


def test_the_surroundings_are_the_functions_own(python: Laboratory) -> None:
    seen = python.result("surroundings", names=[*ENVIRONMENT, "NOT_THERE"])
    assert seen == {
        "env": {**ENVIRONMENT, "NOT_THERE": None},
        "cwd_is_code": True,
        "data": "daten ☂",
        "stdin": "",
        "zone": "UTC",
    }


def test_a_worker_s_variables_are_not_seen(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "secret")
    sandbox = workshop.ready(
        Runtime.PYTHON,
        "main.handler",
        workshop.code({"main.py": "import os\ndef handler(e, c):\n    return dict(os.environ)\n"}),
    )
    seen = json.loads(invoke(sandbox, None).result or "")
    assert set(seen) <= {"PATH", "HOME", "TMPDIR", "LANG", "TZ", "HOSTNAME", "LC_CTYPE"}, seen


def test_module_state_lives_while_the_sandbox_does(python: Laboratory) -> None:
    first = python.result("count")
    assert python.result("count") == first + 1


def test_an_exception_is_the_call_s_failure_and_no_harm_to_the_sandbox(python: Laboratory) -> None:
    outcome = python.error("raises", "ValueError", what="value", usable=True)
    assert message(outcome) == "bad value: ü"
    assert f'File "main.py", line {line_of("main.py", "bad value")}, in raises' in trace(outcome)
    assert "agent.py" not in trace(outcome)


def test_a_stack_trace_has_every_call_outermost_first(python: Laboratory) -> None:
    text = trace(python.error("raises", "Gale", what="deep"))
    assert "Previous line repeated 2 more times" in text
    assert text.index("in handler") < text.index("in raises") < text.index("in deeper")


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        ("recursion", "RecursionError"),
        ("chained", "RuntimeError"),
        ("interrupt", "KeyboardInterrupt"),
        ("sneaky", "Error"),
        ("unsayable", "Unsayable"),
    ],
)
def test_every_exception_has_its_class_but_none_that_is_the_platform_s(
    python: Laboratory, what: str, kind: str
) -> None:
    python.error("raises", kind, what=what, usable=True)


def test_a_message_is_text_that_can_be_stored(python: Laboratory) -> None:
    assert message(python.error("raises", "ValueError", what="nul")) == "a\ufffdb\ufffdc"
    assert len(message(python.error("raises", "ValueError", what="long"))) < 20_000


@pytest.mark.parametrize(("code", "status"), [(0, 0), (3, 3), (255, 255), (None, 0), ("bye", 1)])
def test_sys_exit_is_an_exit(python: Laboratory, code: object, status: int) -> None:
    outcome = python.error("exits", "Function.ExitError", code=code, usable=True)
    assert f"exited with status {status}." in message(outcome)
    assert ("bye" in message(outcome)) is (code == "bye")


@pytest.mark.parametrize("code", [0, 3])
def test_a_dead_process_tells_its_exit_code(python: Laboratory, code: int) -> None:
    outcome = python.error("dies", "Function.ExitError", how="exit", code=code, usable=False)
    assert message(outcome) == f"The process exited with status {code}."


@pytest.mark.parametrize(
    ("how", "words"), [("segv", "SIGSEGV (11)"), ("kill", "SIGKILL (9)"), ("abort", "SIGABRT (6)")]
)
def test_a_dead_process_tells_its_signal(python: Laboratory, how: str, words: str) -> None:
    assert words in message(python.error("dies", "Function.ExitError", how=how, usable=False))


@pytest.mark.parametrize(
    ("which", "wanted"), [("tuple", [1, 2]), ("big_int", 2**70), ("int_key", {"1": "a"}), ("surrogate", "\ud800")]
)
def test_results_that_json_can_hold(python: Laboratory, which: str, wanted: object) -> None:
    assert python.result("value", which=which) == wanted


@pytest.mark.parametrize(
    "which",
    [
        "set",
        "bytes",
        "object",
        "decimal",
        "nan",
        "nested_inf",
        "tuple_key",
        "generator",
        "cyclic",
        "deep_201",
        "deep_900",
        "deep_100000",
        "long_int",
    ],
)
def test_results_that_json_cannot_hold(python: Laboratory, which: str) -> None:
    python.error("value", "Function.InvalidResult", which=which, usable=True)


def test_a_result_may_be_nested_200_deep(python: Laboratory) -> None:
    assert json.dumps(python.result("value", which="deep_200")) == "[" * 200 + "1" + "]" * 200


@pytest.mark.parametrize("size", [6 * MIB - 1, 20 * MIB])
def test_a_result_over_6_mib_is_too_large(python: Laboratory, size: int) -> None:
    python.error("big", "Function.ResultTooLarge", size=size, usable=True)


def test_a_result_of_6_mib_is_not(python: Laboratory) -> None:
    assert len(python.result("big", size=6 * MIB - 2)) == 6 * MIB - 2


def test_a_forked_child_that_returns_does_not_answer(python: Laboratory) -> None:
    assert isinstance(python.result("child", how="fork"), int)
    assert python.result("echo", value=1) == 1


def test_closed_standard_descriptors_do_not_stop_the_answer(python: Laboratory) -> None:
    assert python.result("descriptors") == "closed"
    assert python.result("echo", value=1) == 1


def test_async_handlers_run_on_one_loop(workshop: Workshop) -> None:
    source = "import asyncio\n\nasync def handler(event, context):\n    await asyncio.sleep(0.01)\n    if event == 'fail':\n        raise LookupError('async')\n    return id(asyncio.get_running_loop())\n"
    sandbox = workshop.ready(Runtime.PYTHON, "main.handler", workshop.code({"main.py": source}))
    first = invoke(sandbox, 1)
    failure = invoke(sandbox, "fail").failure
    assert failure is not None
    assert (failure.type, failure.message) == ("LookupError", "async")
    assert invoke(sandbox, 2).result == first.result is not None


LAYOUTS = {
    "a nested file": ("src/app.handler", {"src/app.py": "def handler(e, c):\n    return 'nested'\n"}),
    "a module of a package": (
        "pkg.mod.handler",
        {
            "pkg/__init__.py": "",
            "pkg/mod.py": "from .part import word\ndef handler(e, c):\n    return word\n",
            "pkg/part.py": "word = 'nested'\n",
        },
    ),
    "a name with a hyphen": ("my-app.handler", {"my-app.py": "def handler(e, c):\n    return 'nested'\n"}),
    "a standard module's name": ("json.handler", {"json.py": "def handler(e, c):\n    return 'nested'\n"}),
    "the name os": ("os.system", {"os.py": "def system(e, c):\n    return 'nested'\n"}),
    "the name __main__": ("__main__.handler", {"__main__.py": "def handler(e, c):\n    return 'nested'\n"}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_handler_s_module_is_found(workshop: Workshop, layout: str) -> None:
    handler, files = LAYOUTS[layout]
    sandbox = workshop.ready(Runtime.PYTHON, handler, workshop.code(dict(files)))
    assert invoke(sandbox, None).result == '"nested"'


BROKEN = {
    "syntax": ("def handler(event, context)\n    return 1\n", "main.py"),
    "not utf-8": (b"\xff\xfe\x00 = 1\n", ""),
    "import": ("import no_such_module_anywhere\n", "no_such_module_anywhere"),
    "exception": ("raise RuntimeError('at load')\n", "at load"),
    "no handler": ("def other(e, c):\n    return 1\n", "handler"),
    "not callable": ("handler = 42\n", "handler"),
    "endless recursion": ("def f():\n    f()\nf()\n", "Recursion"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_code_that_does_not_load(workshop: Workshop, name: str) -> None:
    source, mentions = BROKEN[name]
    sandbox, loaded = workshop.load(Runtime.PYTHON, "main.handler", workshop.code({"main.py": source}))
    assert isinstance(loaded, Outcome)
    assert loaded.status is Status.FAILED
    assert loaded.failure is not None
    assert loaded.failure.type == "Function.InitError"
    assert mentions in loaded.failure.message
    assert "agent.py" not in trace(loaded)
    assert not sandbox.usable


def test_a_handler_s_module_that_is_not_there(workshop: Workshop) -> None:
    _, loaded = workshop.load(Runtime.PYTHON, "os.system", workshop.code({"main.py": "x = 1\n"}))
    assert isinstance(loaded, Outcome)
    assert loaded.failure is not None
    assert loaded.failure.type == "Function.InitError"


@pytest.mark.parametrize("source", ["import os\nos._exit(3)\n", "import sys\nsys.exit(3)\n"])
def test_an_exit_while_loading(workshop: Workshop, source: str) -> None:
    _, loaded = workshop.load(Runtime.PYTHON, "main.handler", workshop.code({"main.py": "print('loading')\n" + source}))
    assert isinstance(loaded, Outcome)
    assert loaded.failure is not None
    assert loaded.failure.type == "Function.ExitError"
    assert "status 3" in loaded.failure.message
    assert loaded.logs == b"loading\n"


def test_what_is_printed_while_loading_is_in_the_first_log(workshop: Workshop) -> None:
    source = "print('loading')\ndef handler(e, c):\n    print('running')\n"
    sandbox = workshop.ready(Runtime.PYTHON, "main.handler", workshop.code({"main.py": source}))
    assert invoke(sandbox, None).logs == b"loading\nrunning\n"
    assert invoke(sandbox, None).logs == b"running\n"
