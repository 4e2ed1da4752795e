"""What a Node.js function sees, and what becomes of what it does."""

from __future__ import annotations

import json

import pytest
from sandbox_lab import ENVIRONMENT, HEADERS, Laboratory, Workshop, invoke, line_of, message, trace

from faas.domain.function import MIB, Runtime
from faas.domain.invocation import Status
from faas.domain.outcome import Outcome


def test_a_result_comes_back_as_it_was(nodejs: Laboratory) -> None:
    value = {
        "text": '☂ 🦄 \u2028 </script> \\ "',
        "numbers": [0, -1.5, 1e-7],
        "none": None,
        "empty": {},
        "list": [True, False],
    }
    assert nodejs.result("echo", value=value) == value


def test_a_large_payload_and_result_come_through_whole(nodejs: Laboratory) -> None:
    text = ("☂" + "x" * 97 + "🦄\n") * (5 * MIB // 106)
    assert nodejs.result("echo", value=text) == text


def test_the_context_tells_of_the_call(nodejs: Laboratory) -> None:
    seen = nodejs.result("seen", headers=HEADERS, timeout_ms=20_000)
    assert seen["functionName"] == "lab"
    assert seen["functionVersion"] == "1.0"
    assert seen["memoryLimitInMB"] == 256
    assert seen["awsRequestId"] == seen["invocationId"]
    assert seen["headers"] == HEADERS
    assert 10_000 < seen["left"] <= 20_000


def test_the_surroundings_are_the_functions_own(nodejs: Laboratory) -> None:
    seen = nodejs.result("surroundings", names=[*ENVIRONMENT, "NOT_THERE"])
    assert seen == {"env": {**ENVIRONMENT, "NOT_THERE": None}, "cwd_is_code": True, "data": "daten ☂", "stdin": ""}


def test_module_state_lives_while_the_sandbox_does(nodejs: Laboratory) -> None:
    first = nodejs.result("count")
    assert nodejs.result("count") == first + 1


def test_an_exception_is_the_call_s_failure_and_no_harm_to_the_sandbox(nodejs: Laboratory) -> None:
    outcome = nodejs.error("type_error", "TypeError", usable=True)
    assert message(outcome) == "bad value: ü"
    assert f"index.js:{line_of('index.js', 'bad value')}:" in trace(outcome)
    assert "agent.js" not in trace(outcome)


def test_a_stack_trace_has_every_call_outermost_first(nodejs: Laboratory) -> None:
    text = trace(nodejs.error("deep", "Gale"))
    assert text.count("at deeper") == 6
    assert text.index("handler") < text.index("at deeper")


@pytest.mark.parametrize(
    ("mode", "kind", "words"),
    [
        ("named", "NotFound", "by its name"), ("sneaky", "Error", "pretends"), ("throw_string", "Error", "just text"), ("throw_null", "Error", "null"),
        ("reject", "RangeError", "rejected"), ("late_throw", "RangeError", "late"), ("forgotten", "RangeError", "forgotten"),
    ],
)  # fmt: skip
def test_every_error_has_its_class_but_none_that_is_the_platform_s(
    nodejs: Laboratory, mode: str, kind: str, words: str
) -> None:
    assert message(nodejs.error(mode, kind, usable=True)) == words


@pytest.mark.parametrize("code", [0, 5])
def test_a_dead_process_tells_its_exit_code(nodejs: Laboratory, code: int) -> None:
    assert (
        message(nodejs.error("exit", "Function.ExitError", code=code, usable=False))
        == f"The process exited with status {code}."
    )


@pytest.mark.parametrize(("mode", "words"), [("kill", "SIGKILL (9)"), ("abort", "SIGABRT (6)")])
def test_a_dead_process_tells_its_signal(nodejs: Laboratory, mode: str, words: str) -> None:
    assert words in message(nodejs.error(mode, "Function.ExitError", usable=False))


@pytest.mark.parametrize(
    ("which", "wanted"),
    [
        ("undefined", None),
        ("zero", 0),
        ("date", "1970-01-01T00:00:00.000Z"),
        ("nan", None),
        ("holes", [1, None]),
        ("dropped", {"b": 1}),
        ("surrogate", "\ud800"),
    ],
)
def test_results_follow_json_stringify(nodejs: Laboratory, which: str, wanted: object) -> None:
    assert nodejs.result("value", which=which) == wanted


@pytest.mark.parametrize("which", ["bigint", "cyclic", "throws", "deep_201", "deep_3000", "deep_100000"])
def test_results_that_json_cannot_hold(nodejs: Laboratory, which: str) -> None:
    nodejs.error("value", "Function.InvalidResult", which=which, usable=True)


@pytest.mark.parametrize("size", [6 * MIB - 1, 20 * MIB])
def test_a_result_over_6_mib_is_too_large(nodejs: Laboratory, size: int) -> None:
    nodejs.error("big", "Function.ResultTooLarge", size=size, usable=True)


STYLES = {
    "promise": "exports.handler = (event) => new Promise((done) => setTimeout(() => done({ got: event }), 10));",
    "plain value": "exports.handler = (event) => ({ got: event });",
    "thenable": "exports.handler = (event) => ({ then(done) { done({ got: event }); } });",
    "callback": "exports.handler = (event, context, callback) => { callback(null, { got: event }); };",
    "callback later": "exports.handler = (event, context, callback) => { setTimeout(() => callback(null, { got: event }), 10); };",
    "callback twice": "exports.handler = (event, context, callback) => { callback(null, { got: event }); callback(null, 'again'); };",
    "async that names the callback": "exports.handler = async (event, context, callback) => ({ got: event });",
    "context.done": "exports.handler = (event, context) => { setTimeout(() => context.done(null, { got: event }), 10); };",
    "context.succeed": "exports.handler = (event, context) => { context.succeed({ got: event }); };",
    "module.exports": "module.exports = { handler: async (event) => ({ got: event }) };",
}
MODULE_STYLES = {
    "const": "export const handler = async (event) => ({ got: event });",
    "function": "export async function handler(event) { return { got: event }; }",
    "default": "export default { handler: async (event) => ({ got: event }) };",
    "import": "import { createHash } from 'node:crypto';\nexport const handler = async (event) => ({ got: event && createHash && event });",
    "top-level await": "const late = await new Promise((done) => setTimeout(() => done(1), 10));\nexport const handler = async (event) => ({ got: event * late });",
    "callback": "export const handler = (event, context, callback) => { callback(null, { got: event }); };",
}


@pytest.mark.parametrize(
    ("name", "source"),
    [*(("index.js", s) for s in STYLES.values()), *(("index.mjs", s) for s in MODULE_STYLES.values())],
    ids=[*STYLES, *(f"module {s}" for s in MODULE_STYLES)],
)
def test_handler_styles(workshop: Workshop, name: str, source: str) -> None:
    sandbox = workshop.ready(Runtime.NODEJS, "index.handler", workshop.code({name: source}))
    for n in (1, 2):
        assert json.loads(invoke(sandbox, n).result or "") == {"got": n}
    sandbox.close()


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("exports.handler = (event, context, callback) => { callback(new RangeError('x')); };", "RangeError"),
        ("exports.handler = (event, context) => { context.fail(new RangeError('x')); };", "RangeError"),
        ("exports.handler = (event, context, callback) => { throw new SyntaxError('x'); };", "SyntaxError"),
    ],
)  # fmt: skip
def test_errors_of_callbacks(workshop: Workshop, source: str, kind: str) -> None:
    sandbox = workshop.ready(Runtime.NODEJS, "index.handler", workshop.code({"index.js": source}))
    failure = invoke(sandbox, None).failure
    assert failure is not None
    assert (failure.type, failure.message) == (kind, "x")


def test_a_callback_that_can_never_come_is_null(workshop: Workshop) -> None:
    source = "exports.handler = (event, context, callback) => { setTimeout(() => console.log('last'), 20); };"
    sandbox = workshop.ready(Runtime.NODEJS, "index.handler", workshop.code({"index.js": source}))
    for _ in range(2):
        outcome = invoke(sandbox, None)
        assert outcome.status is Status.SUCCEEDED
        assert (outcome.result, outcome.logs) == ("null", b"last\n")


ARCHIVES = {
    "commonjs": {"index.js": "const { add } = require('./lib/add');\nexports.handler = async (e) => add(e, require('./data.json').ten);\n", "lib/add.js": "exports.add = (a, b) => a + b;\n", "data.json": '{"ten": 10}'},
    "mjs": {"index.mjs": "import { add } from './lib/add.mjs';\nexport const handler = async (e) => add(e, 10);\n", "lib/add.mjs": "export const add = (a, b) => a + b;\n"},
    "package": {"package.json": '{"type": "module"}', "index.js": "import { add } from './lib/add.js';\nexport const handler = async (e) => add(e, 10);\n", "lib/add.js": "export const add = (a, b) => a + b;\n"},
    "node_modules": {"index.js": "exports.handler = async (e) => require('ten') + e;\n", "node_modules/ten/index.js": "module.exports = 10;\n"},
}  # fmt: skip


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives(workshop: Workshop, name: str) -> None:
    sandbox = workshop.ready(Runtime.NODEJS, "index.handler", workshop.code(dict(ARCHIVES[name])))
    assert invoke(sandbox, 5).result == "15"


def test_a_nested_handler(workshop: Workshop) -> None:
    sandbox = workshop.ready(
        Runtime.NODEJS, "src/app.run", workshop.code({"src/app.js": "exports.run = () => 'nested';\n"})
    )
    assert invoke(sandbox, None).result == '"nested"'


BROKEN = {
    "syntax": ("exports.handler = async ( => 1;\n", "index.js"),
    "require": ("require('no-such-module-anywhere');\n", "no-such-module-anywhere"),
    "exception": ("throw new Error('at load');\n", "at load"),
    "no handler": ("exports.other = async () => 1;\n", "handler"),
    "not callable": ("exports.handler = 42;\n", "handler"),
    "thrown null": ("throw null;\n", "null"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_code_that_does_not_load(workshop: Workshop, name: str) -> None:
    source, mentions = BROKEN[name]
    sandbox, loaded = workshop.load(Runtime.NODEJS, "index.handler", workshop.code({"index.js": source}))
    assert isinstance(loaded, Outcome)
    assert loaded.failure is not None
    assert loaded.failure.type == "Function.InitError"
    assert mentions in loaded.failure.message + trace(loaded)
    assert "agent.js" not in trace(loaded)
    assert not sandbox.usable
