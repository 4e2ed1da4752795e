"""The engines under test, each in turn, and the laboratory functions on them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

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


@pytest.fixture(scope="session")
def workshop(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """Makes sandboxes, and closes them at the end."""
    made = Workshop(engine, tmp_path_factory.mktemp("functions"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def python(workshop: Workshop) -> Laboratory:
    """The laboratory function in Python."""
    return Laboratory(workshop, Runtime.PYTHON, "main.handler", workshop.code(read_lab("main.py")))


@pytest.fixture(scope="session")
def nodejs(workshop: Workshop) -> Laboratory:
    """The laboratory function in Node.js."""
    return Laboratory(workshop, Runtime.NODEJS, "index.handler", workshop.code(read_lab("index.js")))


@pytest.fixture(scope="session")
def go(workshop: Workshop) -> Laboratory:
    """The laboratory function in Go."""
    return Laboratory(
        workshop, Runtime.GO, "main", add_data(workshop.program({"main.go": read_lab("main.go")["main.go"]}))
    )
