"""The pytest plugin: the fixture `faas_function` runs a function in the test's process, or in its real sandbox.

    def test_it_greets(faas_function):
        hello = faas_function("functions/hello", timeout="2s")
        assert hello({"name": "Ada"}) == {"message": "Hello, Ada!"}

`pytest --faas-sandbox=container` runs the same tests in containers. Nothing of the platform is imported before the fixture is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from faas.testing.function import FunctionUnderTest
    from faas.testing.sandboxed import Engines

MODES = ("process", "simple", "container")
_HELP = "where functions of faas_function run: in the test's process, as processes of this host, or in containers"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option, and the same for the configuration file."""
    parser.getgroup("faas", "functions of the FaaS platform").addoption("--faas-sandbox", choices=MODES, help=_HELP)
    parser.addini("faas_sandbox", f"{_HELP} (process)", default="process")


@pytest.fixture(scope="session")
def faas_engines(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    """The engines of this session; a fixture of `faas_function`'s own."""
    from faas.testing.sandboxed import Engines

    # What the Go compiler has made once is there in the next session too.
    cache = getattr(request.config, "cache", None)
    made = Engines(tmp_path_factory.mktemp("faas"), kept=cache.mkdir("faas") if cache else None)
    yield made
    made.close()


@pytest.fixture
def faas_function(request: pytest.FixtureRequest) -> Iterator[Callable[..., FunctionUnderTest]]:
    """Makes functions to call; see docs/testing-functions.md.

    `faas_function(target, mode=None, **fields)`:
        target: a folder (with `faas.toml`, or `main.py`, `index.js`, `main.go`), a source file, both relative to the test's folder, or
            `module:handler`.
        mode: `process`, `simple`, `container`, or `sandbox` for a real sandbox of whichever kind; where left out, what `--faas-sandbox` says.
        fields: of the function, over those of its `faas.toml`: `timeout`, `memory_mb`, `cpus`, `environment`, `network`, `runtime`, `handler`.
    """
    made: list[FunctionUnderTest] = []

    def make(target: str | Path, *, mode: str | None = None, **fields: Any) -> FunctionUnderTest:
        function = _make(request, target, _mode(request.config, mode), fields)
        made.append(function)
        return function

    yield make
    for function in made:
        function.close()


def _mode(config: pytest.Config, asked: str | None) -> str:
    chosen: str = config.getoption("--faas-sandbox") or config.getini("faas_sandbox")
    mode = asked or chosen
    if mode == "sandbox" and chosen in ("simple", "container"):
        return chosen
    if mode not in (*MODES, "sandbox"):
        raise pytest.UsageError(f"faas_function: the mode must be one of {', '.join(MODES)}, sandbox (is {mode!r})")
    return mode


def _make(request: pytest.FixtureRequest, named: str | Path, mode: str, fields: dict[str, Any]) -> FunctionUnderTest:
    from faas.domain.function import Runtime
    from faas.errors import FaasError
    from faas.testing.function import FunctionUnderTest
    from faas.testing.in_process import InProcess
    from faas.testing.target import resolve

    try:
        target = resolve(named, request.path.parent, fields)
        if mode == "process" and target.spec.runtime is Runtime.PYTHON:
            return FunctionUnderTest(InProcess(target), mode, target.spec.timeout_ms)
        from faas.testing.sandboxed import Sandboxed

        # Other languages have no place in this process: a process of this host is the nearest.
        kind = "simple" if mode == "process" else mode
        place = Sandboxed(request.getfixturevalue("faas_engines"), kind, target)
        return FunctionUnderTest(place, kind, target.spec.timeout_ms)
    except (FaasError, ValueError) as error:
        pytest.fail(f"faas_function: {error}", pytrace=False)
