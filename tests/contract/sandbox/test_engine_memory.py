"""Memory and processor limits, which the container engine alone can keep."""

from __future__ import annotations

import pytest
from sandbox_lab import Workshop, invoke

from faas.domain.function import Runtime
from faas.domain.invocation import Status
from faas.sandbox.engine import Engine

PYTHON = (
    "def handler(mb, context):\n    kept = [b'%d' % n + b'x' * (1 << 20) for n in range(mb)]\n    return len(kept)\n"
)
NODEJS = "exports.handler = async (mb) => { const kept = []; for (let n = 0; n < mb; n++) kept.push(Buffer.alloc(1 << 20, n % 255 + 1)); return kept.length; };\n"
GO = """package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	var mb int
	json.NewDecoder(os.Stdin).Decode(&mb)
	kept := [][]byte{}
	for n := 0; n < mb; n++ {
		b := make([]byte, 1<<20)
		for i := range b {
			b[i] = byte(n + 1)
		}
		kept = append(kept, b)
	}
	fmt.Print(len(kept))
}
"""
CHILD = "import subprocess, sys\ndef handler(mb, context):\n    return subprocess.run([sys.executable, '-c', f'len([b\"x\" * (n + (1 << 20)) for n in range({mb})])']).returncode\n"


@pytest.fixture(autouse=True)
def containers_only(engine: Engine) -> None:
    if engine.name != "container":
        pytest.skip("the simple engine does not limit memory")


@pytest.mark.parametrize(
    ("runtime", "name", "source"),
    [(Runtime.PYTHON, "main.py", PYTHON), (Runtime.NODEJS, "index.js", NODEJS), (Runtime.GO, "main.go", GO)],
    ids=["python", "nodejs", "go"],
)
def test_a_function_over_its_memory_fails_and_one_within_does_not(
    workshop: Workshop, runtime: Runtime, name: str, source: str
) -> None:
    code = workshop.program({name: source}) if runtime is Runtime.GO else workshop.code({name: source})
    sandbox = workshop.ready(
        runtime, f"{name.partition('.')[0]}.handler" if runtime is not Runtime.GO else "main", code, memory_mb=128
    )
    assert invoke(sandbox, 10).result == "10"
    outcome = invoke(sandbox, 1500)
    assert outcome.status is Status.FAILED
    assert outcome.failure is not None
    assert outcome.failure.type == "Function.OutOfMemory", outcome
    assert "128 MB" in outcome.failure.message
    assert not sandbox.usable


def test_a_larger_function_gets_its_memory(workshop: Workshop) -> None:
    sandbox = workshop.ready(Runtime.PYTHON, "main.handler", workshop.code({"main.py": PYTHON}), memory_mb=512)
    outcome = invoke(sandbox, 350)
    assert outcome.result == "350"
    assert outcome.memory_peak_mb is None or 300 <= outcome.memory_peak_mb <= 560


def test_a_child_alone_over_the_memory_costs_the_sandbox_and_not_the_result(workshop: Workshop) -> None:
    sandbox = workshop.ready(Runtime.PYTHON, "main.handler", workshop.code({"main.py": CHILD}), memory_mb=128)
    assert invoke(sandbox, 1500).result == "-9"
    assert not sandbox.usable
