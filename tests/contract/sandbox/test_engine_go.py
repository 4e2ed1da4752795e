"""What a Go program sees, what becomes of what it does, and how it is compiled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sandbox_lab import ENVIRONMENT, HEADERS, Laboratory, Workshop, invoke, line_of, message

from faas.domain.function import MIB, Runtime
from faas.domain.outcome import Outcome

# The first build of Go programs has the standard library in it, which takes minutes on a slow machine.
pytestmark = pytest.mark.timeout(600)
OUTPUTS = [
    ("plain", "plain"), ("plain\n", "plain"), ("two newlines\n\n", "two newlines\n"), ("  padded  ", "  padded  "), ("123", 123), ("null", None),
    ('"quoted"', "quoted"), ('{"a": [1]}\n', {"a": [1]}), ("{broken", "{broken"), ("NaN", "NaN"), ("[1, Infinity]", "[1, Infinity]"), ("1 2", "1 2"), ("☂ 🦄\n", "☂ 🦄"), ("<&>", "<&>"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), OUTPUTS)
@pytest.mark.parametrize("mode", ["stdout", "fd3"])
def test_the_result_is_json_where_it_is_json_else_text(go: Laboratory, mode: str, text: str, wanted: object) -> None:
    assert go.result(mode, text=text) == wanted


def test_no_output_is_null(go: Laboratory) -> None:
    assert go.result("stdout", text="") is None


def test_descriptor_3_wins_and_standard_output_is_then_the_log(go: Laboratory) -> None:
    outcome = go.run("fd3", text="[1,2,3]")
    assert outcome.result == "[1, 2, 3]"
    assert sorted(outcome.logs.splitlines()) == [b"noise on stderr", b"noise on stdout"]
    assert go.run("stdout", text="result").logs == b""


def test_standard_input_is_the_payload(go: Laboratory) -> None:
    assert json.loads(go.result("raw", x=["ü", 1.5, None])) == {"mode": "raw", "x": ["ü", 1.5, None]}


def test_the_environment_is_the_call_s(go: Laboratory) -> None:
    names = [
        "FAAS_INVOCATION_ID",
        "FAAS_FUNCTION_NAME",
        "FAAS_DEADLINE_MS",
        "FAAS_HEADER_X_TRACE_ID",
        "FAAS_HEADER_PLAIN",
        "NOT_THERE",
        *ENVIRONMENT,
    ]
    seen = go.result("env", names=names, headers=HEADERS)
    assert seen["FAAS_INVOCATION_ID"].startswith("call-")
    assert seen["FAAS_FUNCTION_NAME"] == "lab"
    assert int(seen["FAAS_DEADLINE_MS"]) > 1_700_000_000_000
    assert (seen["FAAS_HEADER_X_TRACE_ID"], seen["FAAS_HEADER_PLAIN"], seen["NOT_THERE"]) == (
        HEADERS["X-Trace-Id"],
        "p",
        None,
    )
    assert {name: seen[name] for name in ENVIRONMENT} == ENVIRONMENT
    assert seen["data"] == "daten ☂"
    assert go.result("env", names=names)["FAAS_HEADER_PLAIN"] is None


@pytest.mark.parametrize("code", [1, 255])
def test_an_exit_code_is_a_failure_with_the_end_of_standard_error(go: Laboratory, code: int) -> None:
    outcome = go.error("exit", "Function.ExitError", code=code, text="it went wrong ☂", usable=True)
    assert message(outcome) == f"The process exited with status {code}.\nit went wrong ☂"
    assert sorted(outcome.logs.decode().splitlines()) == ["it went wrong ☂", "this is the log"]


def test_exit_0_is_a_success(go: Laboratory) -> None:
    assert go.result("exit", code=0, text="") == "this is the log"


def test_an_exit_code_beats_a_result(go: Laboratory) -> None:
    assert "failed after all" in message(go.error("fd3_then_fail", "Function.ExitError", text="1"))


def test_a_panic_tells_its_place(go: Laboratory) -> None:
    text = message(go.error("panic", "Function.ExitError", text="panisch ☂", usable=True))
    assert "panisch ☂" in text
    assert f"main.go:{line_of('main.go', 'panic(text)')}" in text


def test_a_signal_is_told(go: Laboratory) -> None:
    assert "SIGKILL (9)" in message(go.error("kill", "Function.ExitError", usable=True))


@pytest.mark.parametrize(("mode", "size"), [("big", 6 * MIB + 1), ("big", 20 * MIB), ("quotes", 5 * MIB)])
def test_a_result_over_6_mib_is_too_large(go: Laboratory, mode: str, size: int) -> None:
    go.error(mode, "Function.ResultTooLarge", size=size, usable=True)


def test_output_that_is_not_text_is_invalid(go: Laboratory) -> None:
    go.error("binary", "Function.InvalidResult", usable=True)


def test_children_that_the_program_left_are_killed(go: Laboratory) -> None:
    assert go.result("child") == "started"
    assert go.sandbox is not None
    assert go.sandbox.usable


def test_a_daemon_that_left_the_group_costs_the_sandbox(go: Laboratory) -> None:
    assert go.result("daemon") == "started"
    assert go.sandbox is not None
    assert not go.sandbox.usable


def test_a_module_with_packages_and_embedded_files(workshop: Workshop) -> None:
    program = workshop.program(
        {
            "go.mod": "module example.com/thing\n\ngo 1.18\n",
            "main.go": 'package main\n\nimport (\n\t_ "embed"\n\t"example.com/thing/inner"\n\t"os"\n)\n\n//go:embed data.txt\nvar data string\n\nfunc main() { os.Stdout.WriteString(inner.Word() + data + helper()) }\n',
            "helper.go": 'package main\n\nfunc helper() string { return "helped" }\n',
            "inner/word.go": 'package inner\n\nfunc Word() string { return "inner" }\n',
            "data.txt": "embedded",
        }
    )
    sandbox = workshop.ready(Runtime.GO, "main", program)
    assert invoke(sandbox, None).result == '"innerembeddedhelped"'


def test_vendored_packages_and_an_archive_without_a_module(workshop: Workshop) -> None:
    main = 'package main\n\nimport "os"\n\nfunc main() { os.Stdout.WriteString(word()) }\n'
    plain = workshop.program({"main.go": main, "word.go": 'package main\n\nfunc word() string { return "plain" }\n'})
    vendored = workshop.program(
        {
            "go.mod": "module thing\n\ngo 1.18\n\nrequire example.com/dep v1.0.0\n",
            "main.go": 'package main\n\nimport (\n\t"example.com/dep"\n\t"os"\n)\n\nfunc main() { os.Stdout.WriteString(dep.Word) }\n',
            "vendor/modules.txt": "# example.com/dep v1.0.0\n## explicit; go 1.18\nexample.com/dep\n",
            "vendor/example.com/dep/dep.go": 'package dep\n\nconst Word = "vendored"\n',
        }
    )
    assert invoke(workshop.ready(Runtime.GO, "main", plain), None).result == '"plain"'
    assert invoke(workshop.ready(Runtime.GO, "main", vendored), None).result == '"vendored"'


def test_a_build_tag_does_not_hide_the_one_file(workshop: Workshop) -> None:
    program = workshop.program(
        {
            "main.go": '//go:build never\n\npackage main\n\nimport "os"\n\nfunc main() { os.Stdout.WriteString("seen") }\n'
        }
    )
    assert invoke(workshop.ready(Runtime.GO, "main", program), None).result == '"seen"'


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("package main\n\nfunc main() { undefined_thing() }\n", "main.go:3:15: undefined"),
        ("package main\n\nfunc main() {\n", "main.go"),
        ('package main\n\nimport "C"\n\nfunc main() {}\n', ""),
        ('package main\n\nimport "example.com/not/there"\n\nfunc main() {}\n', "example.com/not/there"),
    ],
    ids=["undefined", "syntax", "cgo", "a package that is not there"],
)
def test_the_compiler_s_words_are_given(workshop: Workshop, tmp_path: Path, source: str, words: str) -> None:
    said = workshop.engine.compile(workshop.code({"main.go": source}), tmp_path / "main", timeout_s=300)
    assert said
    assert words in said
    assert not (tmp_path / "main").exists()


def test_the_compiler_is_stopped_at_its_time(workshop: Workshop, tmp_path: Path) -> None:
    said = workshop.engine.compile(
        workshop.code({"main.go": "package main\n\nfunc main() {}\n"}), tmp_path / "main", timeout_s=0.01
    )
    assert said
    assert "did not end" in said


def test_a_program_that_is_not_there(workshop: Workshop) -> None:
    sandbox, loaded = workshop.load(Runtime.GO, "main", workshop.code({"other": "x"}))
    assert isinstance(loaded, Outcome)
    assert loaded.failure is not None
    assert loaded.failure.type == "Function.InitError"
    assert not sandbox.usable
