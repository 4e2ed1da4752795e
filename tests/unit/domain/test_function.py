"""The rules of functions."""

from __future__ import annotations

import factories
import pytest

from faas.domain.function import NAME, Runtime, is_handler, is_reserved, source_file


@pytest.mark.parametrize(
    "text", ["main.handler", "src/app.handler", "a.b.c", "my-module.my-handler", "_private._f", "os.system", "0.1"]
)
def test_module_and_function_make_a_handler(text):
    assert is_handler(text, Runtime.PYTHON)
    assert is_handler(text, Runtime.NODEJS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "main",
        ".handler",
        "main.",
        "../x.y",
        "/abs.f",
        "a;b",
        "-a.b",
        "a.-b",
        "a..b",
        "a//b.c",
        "a b.c",
        "a.b\n",
        "é.f",
        "a\\b.c",
        "m." + "f" * 255,
        "a/b",
    ],
)
def test_anything_else_is_no_handler(text):
    assert not is_handler(text, Runtime.PYTHON)
    assert not is_handler(text, Runtime.NODEJS)


def test_a_go_handler_is_a_programs_name():
    assert is_handler("main", Runtime.GO)
    assert is_handler("cmd.main", Runtime.GO)
    assert not is_handler("-x", Runtime.GO)
    assert not is_handler("a/b", Runtime.GO)


@pytest.mark.parametrize(
    "name",
    [
        "FAAS_X",
        "AWS_LAMBDA_RUNTIME_API",
        "LD_PRELOAD",
        "PYTHONPATH",
        "NODE_OPTIONS",
        "PATH",
        "HOME",
        "TMPDIR",
        "IFS",
        "BASH_ENV",
        "ENV",
    ],
)
def test_names_of_the_platform_and_the_runtimes_are_reserved(name):
    assert is_reserved(name)


@pytest.mark.parametrize("name", ["AWS_REGION", "path", "MY_PATH", "ENVIRONMENT", "LANG"])
def test_other_names_are_the_owners(name):
    assert not is_reserved(name)


@pytest.mark.parametrize(
    ("runtime", "handler", "source", "path"),
    [
        (Runtime.PYTHON, "main.handler", b"", "main.py"),
        (Runtime.PYTHON, "pkg.mod.handler", b"", "pkg/mod.py"),
        (Runtime.PYTHON, "src/app.handler", b"", "src/app.py"),
        (Runtime.NODEJS, "index.handler", b"exports.handler = async () => 1", "index.js"),
        (Runtime.NODEJS, "index.handler", b"export const handler = () => 1", "index.mjs"),
        (Runtime.NODEJS, "index.handler", b"import fs from 'node:fs'\nexport { handler }", "index.mjs"),
        (Runtime.NODEJS, "index.handler", b"const x = import('fs')\nmodule.exports = {}", "index.js"),
        (Runtime.GO, "main", b"package main", "main.go"),
        (Runtime.GO, "hello", b"package main", "main.go"),
    ],
)
def test_one_source_file_is_stored_as_the_handlers_module(runtime, handler, source, path):
    assert source_file(factories.spec(runtime=runtime, handler=handler), source) == path


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("a", True),
        ("A-b_9", True),
        ("a" * 64, True),
        ("a" * 65, False),
        ("-a", False),
        ("_a", False),
        ("", False),
        ("a/b", False),
        ("a\n", False),
        ("ä", False),
    ],
)
def test_names_have_a_shape(name, good):
    assert (NAME.fullmatch(name) is not None) is good
