"""Go programs from end to end: compiled once, taken over from a worker that dies, and the documented first steps."""

from __future__ import annotations

import json
import shutil
import subprocess
import time

import pytest

from e2e.cluster import PATIENCE, TERMINAL, Cluster, eventually, worker_name

pytestmark = pytest.mark.timeout(400)

ECHO = """package main

import (
	"io"
	"os"
)

func main() {
	data, _ := io.ReadAll(os.Stdin)
	os.Stdout.Write(data)
}
"""
# What the first page of the documentation sends.
HELLO = """{
    "name": "hello",
    "version": "1.0.0",
    "runtime": "go",
    "handler": "main",
    "code": "cGFja2FnZSBtYWluCgppbXBvcnQgImZtdCIKCmZ1bmMgbWFpbigpIHsKCWZtdC5QcmludGxuKCJIZWxsbywgRmFhUyEiKQp9",
    "timeout": "30s",
    "memory_mb": 128,
    "max_concurrency": 10,
    "environment": {},
    "metadata": {}
  }"""


def test_a_program_is_compiled_after_the_answer_and_calls_wait_for_it(cluster: Cluster) -> None:
    function = cluster.create(ECHO, "go")
    invocation = cluster.submit(function, {"early": True})
    cluster.built(function)
    record = cluster.wait(invocation)
    assert (record["status"], record["result"]) == ("succeeded", {"early": True})
    assert cluster.invoke(function, {"late": [1]})["result"] == {"late": [1]}


def test_a_program_that_does_not_compile_fails_with_the_compiler_s_words(cluster: Cluster) -> None:
    function = cluster.create('package main\n\nfunc main() {\n\tvar n int = "text"\n}\n', "go")
    early = cluster.submit(function)
    assert "main.go:4" in cluster.built(function, "failed")["state_reason"]
    record = cluster.wait(early)
    assert (record["status"], record["error"]["type"]) == ("failed", "Function.InitError")
    refused = cluster.call("POST", "/invoke", json={"function_id": function})
    assert refused.status_code == 409, refused.text


def test_a_build_whose_worker_is_killed_is_taken_over(cluster: Cluster) -> None:
    # A program that nobody has compiled before, and much of it, so that the compiler takes its time.
    body = "".join(
        f'\tvalues["{n}"] = func(s string) string {{ return fmt.Sprintf("%s {n} %v", s, len(s)*{n}) }}\n'
        for n in range(600)
    )
    source = f'package main\n\nimport "fmt"\n\n// {time.time()}\nfunc main() {{\n\tvalues := map[string]func(string) string{{}}\n{body}\tfmt.Println(len(values))\n}}\n'
    function = cluster.create(source, "go")
    early = cluster.submit(function)
    sql = "SELECT build_worker FROM function_revisions WHERE function_id = %s AND build_worker IS NOT NULL AND state = 'building'"
    owner = str(eventually(lambda: cluster.sql(sql, function), "a worker compiles it")[0][0])
    cluster.kill(worker_name(owner))
    assert cluster.sql("SELECT state FROM function_revisions WHERE function_id = %s", function) == [("building",)]
    # The other worker does it; the killed one is not started again meanwhile.
    cluster.built(function)
    record = cluster.wait(early)
    assert (record["status"], record["result"]) == ("succeeded", 600)
    assert record["worker_id"] != owner
    eventually(lambda: owner not in cluster.sandbox_owners(), "nothing of the killed worker is left")
    eventually(lambda: not [words for words in cluster.processes() if owner in words], "no process of it is left")


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_documented_first_steps_with_curl(cluster: Cluster) -> None:
    def curl(*arguments: str) -> dict:
        done = subprocess.run(
            ("curl", "-sS", "--max-time", "90", *arguments), capture_output=True, text=True, timeout=120, check=True
        )
        return dict(json.loads(done.stdout))

    kind = ("-H", "Content-Type: application/json")
    function = curl("-X", "POST", f"{cluster.url()}/functions", *kind, "-d", HELLO)
    try:
        body = json.dumps({"function_id": function["id"], "payload": {}, "headers": {}})
        accepted = curl("-X", "POST", f"{cluster.url()}/invoke", *kind, "-d", body)

        def look() -> dict | None:
            record = curl(f"{cluster.url()}/invocations/{accepted['invocation_id']}")
            return record if record["status"] in TERMINAL else None

        record = eventually(look, "it has ended", 2 * PATIENCE)
        assert (record["status"], record["result"], record["function_name"]) == ("succeeded", "Hello, FaaS!", "hello")
    finally:
        cluster.call("DELETE", "/functions/hello")
