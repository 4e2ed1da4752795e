"""The plugin in a pytest of its own, on real engines."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

HANDLER = """
    import os, sys, time

    CALLS = []

    def handler(event, context):
        CALLS.append(event)
        if event.get("sleep"):
            time.sleep(event["sleep"])
        if "fill" in event:
            return len(b"x" * (event["fill"] * 1024 * 1024))
        if "raise" in event:
            raise LookupError(event["raise"])
        print("handled by", os.getpid())
        return {"pid": os.getpid(), "calls": len(CALLS), "stage": os.environ.get("STAGE"), "headers": context.headers,
                "name": context.function_name, "memory": context.memory_limit_in_mb, "left": context.get_remaining_time_in_millis()}
"""
MANIFEST = """
    name = "hello"
    runtime = "python"
    handler = "main.handler"

    [limits]
    timeout = "20s"
    memory_mb = 256

    [environment]
    STAGE = "test"
"""
GO = """
    package main

    import "fmt"

    func main() { fmt.Println(42) }
"""
# The same in every mode but for what a mode is.
SAME = """
    import os
    import pytest
    from faas.client import FunctionRaised, TimedOut

    def test_it_runs(faas_function):
        hello = faas_function("hello")
        first, second = hello({}, headers={"a": "b"}), hello({})
        assert (first["calls"], second["calls"]) == (1, 2)
        assert first["headers"] == {"a": "b"}
        assert (first["stage"], first["name"], first["memory"]) == ("test", "hello", 256)
        assert 0 < first["left"] <= 20_000
        assert hello.logs == f"handled by {second['pid']}\\n"
        assert (hello.last.cold_start, hello.last.status) == (False, "succeeded")
        assert (first["pid"] == os.getpid()) == (hello.mode == "process")

    def test_it_raises(faas_function):
        hello = faas_function("hello")
        with pytest.raises(FunctionRaised, match="LookupError: no such") as caught:
            hello({"raise": "no such"})
        assert caught.value.type == "LookupError"
        assert any("main.py" in line for line in caught.value.stack_trace)
        assert hello({})["calls"] == 2

    def test_it_is_over_its_time(faas_function):
        hello = faas_function("hello", timeout="300ms")
        with pytest.raises(TimedOut):
            hello({"sleep": 5})
        assert hello.run({"sleep": 5}).status == "timed_out"
        assert hello({})["pid"]

    def test_functions_do_not_meet(faas_function):
        one, other = faas_function("hello"), faas_function("hello", environment={"STAGE": "other"})
        assert [one({})["calls"], other({})["calls"]] == [1, 1]
        assert [one({})["stage"], other({})["stage"]] == ["test", "other"]
"""


@pytest.fixture
def tests(pytester: pytest.Pytester) -> pytest.Pytester:
    """A folder with a function and tests of it."""
    write(pytester.path / "hello" / "main.py", HANDLER)
    write(pytester.path / "hello" / "faas.toml", MANIFEST)
    return pytester


def write(path: Path, text: str) -> None:
    """A file, its folder too."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(textwrap.dedent(text))


def run(tests: pytest.Pytester, *options: str) -> pytest.RunResult:
    """A pytest in a process of its own, with the plugin however this package was installed."""
    return tests.runpytest_subprocess("-p", "faas.pytest_plugin", "-W", "error", *options)


@pytest.mark.parametrize("mode", ["process", "simple", pytest.param("container", marks=pytest.mark.container)])
def test_the_same_tests_pass_in_process_and_in_every_sandbox(tests: pytest.Pytester, mode: str) -> None:
    tests.makepyfile(textwrap.dedent(SAME))
    run(tests, f"--faas-sandbox={mode}").assert_outcomes(passed=4)


@pytest.mark.container
def test_memory_is_limited_in_a_container(tests: pytest.Pytester) -> None:
    tests.makepyfile("""
        def test_it_does_not_fit(faas_function):
            hello = faas_function("hello", mode="container", memory_mb=64)
            assert hello.run({"fill": 400}).type == "Function.OutOfMemory"
            assert hello({"fill": 1}) == 1024 * 1024
    """)
    run(tests).assert_outcomes(passed=1)


def test_the_configuration_file_chooses_the_mode_and_the_test_has_the_last_word(tests: pytest.Pytester) -> None:
    tests.makeini("[pytest]\nfaas_sandbox = simple\n")
    tests.makepyfile("""
        def test_modes(faas_function):
            assert faas_function("hello").mode == "simple"
            assert faas_function("hello", mode="sandbox").mode == "simple"
            assert faas_function("hello", mode="process").mode == "process"
    """)
    run(tests).assert_outcomes(passed=1)
    run(tests, "--faas-sandbox=process").assert_outcomes(failed=1)


def test_nodejs_runs_as_a_process_where_python_runs_in_process(tests: pytest.Pytester) -> None:
    write(
        tests.path / "js" / "index.js", "exports.handler = async (event) => { console.log('hi'); return event.n + 1 }\n"
    )
    tests.makepyfile("""
        def test_nodejs(faas_function):
            js = faas_function("js")
            assert (js({"n": 1}), js.mode, js.logs) == (2, "simple", "hi\\n")
    """)
    run(tests).assert_outcomes(passed=1)


# In containers, where the compiler has its standard library ready; the other engine would spend a minute of the tests on it.
@pytest.mark.container
def test_go_is_compiled(tests: pytest.Pytester) -> None:
    write(tests.path / "answer" / "main.go", GO)
    write(tests.path / "broken" / "main.go", "package main\n\nfunc main() { nothing() }\n")
    tests.makepyfile("""
        def test_go(faas_function):
            assert faas_function("answer/main.go", mode="container")() == 42

        def test_what_does_not_compile(faas_function):
            run = faas_function("broken", mode="container").run()
            assert (run.status, run.type) == ("failed", "Function.InitError")
            assert "undefined: nothing" in run.message
    """)
    run(tests).assert_outcomes(passed=2)


def test_a_module_is_the_one_that_the_test_imports(tests: pytest.Pytester) -> None:
    write(tests.path / "shop" / "prices.py", "RATE = 2\n\nasync def total(event, context):\n    return event * RATE\n")
    write(tests.path / "shop" / "__init__.py", "")
    tests.makepyfile("""
        import pytest
        import shop.prices

        @pytest.mark.parametrize("mode", ["process", "simple"])
        def test_it_runs(faas_function, mode):
            assert faas_function("shop.prices:total", mode=mode)(4) == 8

        def test_it_is_patched(faas_function, monkeypatch):
            monkeypatch.setattr(shop.prices, "RATE", 3)
            assert faas_function("shop.prices:total")(4) == 12
    """)
    run(tests).assert_outcomes(passed=3)


def test_what_is_wrong_is_said_in_a_line(tests: pytest.Pytester) -> None:
    tests.makepyfile("""
        def test_nothing_there(faas_function):
            faas_function("nowhere")

        def test_a_wrong_field(faas_function):
            faas_function("hello", timeout="soon")

        def test_a_result_that_is_no_json(faas_function, tmp_path):
            (tmp_path / "main.py").write_text("def handler(event, context):\\n    return {1, 2}\\n")
            assert faas_function(tmp_path).run().type == "Function.InvalidResult"
    """)
    result = run(tests)
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines_random(["*nowhere: there is no such file or folder*", "*Must be a duration*"])
