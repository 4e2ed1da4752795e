"""The engines under test, each in turn, and the laboratory functions on them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbox_lab import Laboratory, Workshop, add_data, read_lab

from faas.domain.function import Runtime
from faas.domain.ids import uuid7
from faas.sandbox.engine import Engine, Owner

ENGINES = {
    "simple": ("faas.sandbox.simple", "SimpleEngine"),
    "container": ("faas.sandbox.container", "ContainerEngine"),
}


@pytest.fixture(scope="session", params=["simple", pytest.param("container", marks=pytest.mark.container)])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine with a work folder of its own."""
    module, name = ENGINES[request.param]
    made: Engine = getattr(importlib.import_module(module), name)(
        tmp_path_factory.mktemp("work"), Owner(f"contract-{uuid7()}")
    )
    yield made
    made.close()


@pytest.fixture
def workshop(engine: Engine, tmp_path: Path) -> Iterator[Workshop]:
    """Makes sandboxes, and closes them at the end of the test."""
    made = Workshop(engine, tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="session")
def laboratories(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """Makes the sandboxes of the laboratory functions, which many tests use."""
    made = Workshop(engine, tmp_path_factory.mktemp("functions"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def python(laboratories: Workshop) -> Laboratory:
    """The laboratory function in Python."""
    return Laboratory(laboratories, Runtime.PYTHON, "main.handler", laboratories.code(read_lab("main.py")))


@pytest.fixture(scope="session")
def nodejs(laboratories: Workshop) -> Laboratory:
    """The laboratory function in Node.js."""
    return Laboratory(laboratories, Runtime.NODEJS, "index.handler", laboratories.code(read_lab("index.js")))


@pytest.fixture(scope="session")
def go(laboratories: Workshop) -> Laboratory:
    """The laboratory function in Go."""
    return Laboratory(
        laboratories, Runtime.GO, "main", add_data(laboratories.program({"main.go": read_lab("main.go")["main.go"]}))
    )


@pytest.fixture
def functions(python: Laboratory, nodejs: Laboratory, go: Laboratory) -> dict[str, Laboratory]:
    """The laboratory functions by their runtimes."""
    return {"python": python, "nodejs": nodejs, "go": go}
