"""The command `faas` on a running platform: what it prints, and the status it exits with."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster import PATIENCE, WITH_ONE_ENGINE, Cluster, eventually
from e2e.commands import Shell, same
from faas.embedded.ports import free_port
from faas.sandbox import toolchain

pytestmark = [pytest.mark.timeout(400), WITH_ONE_ENGINE]
_numbers = itertools.count(1)

FAILS = """
import time

def inner(event):
    raise ValueError(f"no good: {event['n']}")

def handler(event, context):
    print("trying", event["n"])
    inner(event)
"""
SLEEPS = "import time\n\ndef handler(event, context):\n    print('first', flush=True)\n    time.sleep(event['s'])\n"


@pytest.fixture
def shell(cluster: Cluster, tmp_path: Path) -> Iterator[Shell]:
    """A folder with a shell, of which every function is gone at the end."""
    yield Shell(cluster, tmp_path)
    for folder in tmp_path.iterdir():
        if (folder / "faas.toml").is_file():
            cluster.call("DELETE", f"/functions/{folder.name}")


def made(shell: Shell, source: str | None = None, runtime: str = "python", **limits: str) -> str:
    """A deployed function; its name."""
    name = f"cli-{next(_numbers)}"
    shell.ok("init", name, "--runtime", runtime)
    folder = shell.folder / name
    if source is not None:
        (folder / "main.py").write_text(source)
    if limits:
        toml = (folder / "faas.toml").read_text()
        lines = "".join(f"{key} = {value}\n" for key, value in limits.items())
        (folder / "faas.toml").write_text(toml.replace("[limits]\n", f"[limits]\n{lines}"))
    shell.ok("deploy", name)
    return name


@pytest.mark.parametrize(
    ("runtime", "files"),
    [
        ("python", ["main.py"]),
        ("nodejs", ["index.js"]),
        ("go", ["go.mod", "main.go"]),
    ],
)
def test_a_scaffold_runs_as_it_is(shell: Shell, runtime: str, files: list[str]) -> None:
    name = made(shell, runtime=runtime)
    again = shell.ok("deploy", name, "--json").json
    assert (again["change"], again["files"], again["function"]["revision"]) == ("unchanged", files, 1)
    assert shell.ok("invoke", name, "-d", '{"name": "Ada"}').out == '{"message": "Hello, Ada!"}\n'
    assert shell.ok("invoke", name).out == '{"message": "Hello, world!"}\n'


@pytest.mark.parametrize("runtime", ["python", "nodejs", "go"])
def test_a_scaffold_s_own_test_passes(shell: Shell, runtime: str) -> None:
    shell.ok("init", "tested", "--runtime", runtime)
    go = toolchain.go()
    command = {
        "python": [sys.executable, "-m", "pytest", "-q"],
        "nodejs": [str(toolchain.node()), "--test"],
        "go": [str(go.program), "test"],
    }[runtime]
    environment = {**shell.environment, "GOCACHE": f"{shell.folder / 'cache'}", "GOTOOLCHAIN": "local"}
    environment |= {"GOROOT": f"{go.root}"} if go.root else {}
    done = subprocess.run(
        command, cwd=shell.folder / "tested", env=environment, capture_output=True, text=True, timeout=3 * PATIENCE
    )
    assert done.returncode == 0, (done.stdout, done.stderr)


def test_what_deploy_says(shell: Shell) -> None:
    name = made(shell)
    assert same(shell.ok("deploy", name).out) == f"Unchanged {name}, revision 1: python, 1 file, <size> packed\n"
    code = shell.folder / name / "main.py"
    code.write_text(code.read_text().replace("Hello", "Bye"))
    assert same(shell.ok("deploy", name).out).startswith(f"Updated {name}, revision 2: python, 1 file")
    toml = shell.folder / name / "faas.toml"
    toml.write_text(toml.read_text().replace("memory_mb = 128\n", ""))
    assert same(shell.ok("deploy", name).out).startswith("Unchanged")
    toml.write_text(toml.read_text().replace('timeout = "30s"', "timeout = 5"))
    assert same(shell.ok("deploy", name).out).startswith(f"Updated {name}, revision 3")
    toml.write_text(toml.read_text().replace("timeout = 5", ""))
    shell.ok("deploy", name)
    assert shell.ok("get", name, "--json").json["timeout"] == "30s"


def test_deploy_says_who_may_call_it_over_http(shell: Shell) -> None:
    name = made(shell)
    toml = shell.folder / name / "faas.toml"
    private = toml.read_text()
    cors = '[http.cors]\nallow_origins = ["https://App.example"]\nallow_methods = ["get"]\nmax_age = 90\n'
    toml.write_text(f"{private}[http]\npublic = true\n{cors}")
    assert same(shell.ok("deploy", name).out).startswith(f"Updated {name}, revision 2")
    # What the server makes of it is what the file says.
    assert same(shell.ok("deploy", name).out).startswith("Unchanged")
    assert f"/fn/{name} (public, pages of https://app.example)" in shell.ok("get", name).out
    toml.write_text(private)
    assert same(shell.ok("deploy", name).out).startswith(f"Updated {name}, revision 3")
    assert shell.ok("get", name, "--json").json["http"] == {"public": False, "cors": None}


def test_what_get_and_ls_say(shell: Shell) -> None:
    name = made(shell)
    assert same(shell.ok("get", name).out).splitlines() == [
        f"name {name}",
        "id <id>",
        "revision 1",
        "state active",
        "runtime python",
        "handler main.handler",
        "code <size> sha256:<digest>",
        "timeout <age>",
        "memory 128 MB",
        "cpus 1",
        "concurrency 10 at most",
        "network none",
        "attempts 1",
        f"http {shell.environment['FAAS_URL']}/fn/{name} (not public)",
        "environment GREETING=Hello",
        "created <time>",
        "updated <time>",
    ]
    lines = same(shell.ok("ls").out).splitlines()
    assert lines[:2] == [
        "NAME RUNTIME REVISION STATE TIMEOUT MEMORY UPDATED",
        f"{name} python 1 active <age> 128 MB <age> ago",
    ]


def test_a_failure_is_told_repaired_and_run_again(shell: Shell) -> None:
    name = made(shell, FAILS)
    done = shell.faas("invoke", name, "-d", '{"n": 1}')
    assert (done.status, done.out) == (1, "")
    assert same(done.err) == (
        "ValueError: no good: 1\n"
        ' File "main.py", line 9, in handler\n'
        " inner(event)\n"
        ' File "main.py", line 5, in inner\n'
        " raise ValueError(f\"no good: {event['n']}\")\n"
        f"\nInvocation <id> of {name} ended failed.\n"
        " faas logs <id> what it printed\n"
        " faas why <id> what happened to it\n"
        " faas replay <id> run it again; once it is repaired, with --newest\n"
    )
    (failed,) = shell.ok("ps", "--function", name, "--status", "failed", "--json").json
    assert shell.ok("logs", failed["id"]).out == "trying 1\n"
    assert same(shell.ok("logs", name).out) == "==> <id> failed, <age> ago\ntrying 1\n"

    told = shell.ok("why", failed["id"])
    assert re.sub(r"worker\d", "<worker>", same(told.out)).splitlines() == [
        f"{name} <id> is failed",
        "TIME AFTER WHAT",
        "<time> <ms> accepted under revision 1",
        "<time> <ms> given one of its function's slots",
        "<time> <ms> handed to the workers",
        "<time> <ms> attempt 1 begun by the worker <worker>",
        "<time> <ms> failed with ValueError: it ran for <ms>, after <ms> to load its code",
    ]
    assert "ValueError: no good: 1" in told.err

    (shell.folder / name / "main.py").write_text("def handler(event, context):\n    return event['n'] + 1\n")
    shell.ok("deploy", name)
    assert shell.ok("replay", failed["id"], "--newest", "--wait").out == "2\n"
    many = shell.ok("replay", "--status", "failed", "--function", name, "--newest")
    assert "Nothing is left to replay." in many.err


def test_many_are_run_again_as_a_batch(shell: Shell, cluster: Cluster) -> None:
    name = made(shell, FAILS)
    for n in range(3):
        assert shell.faas("invoke", name, "-d", f'{{"n": {n}}}', "--json").status == 1
    (batch,) = shell.ok("replay", "--status", "failed", "--function", name, "--json").json
    assert len(batch["invocation_ids"]) == 3
    cluster.wait_all(batch["invocation_ids"])
    listed = shell.ok("ps", "--batch", batch["batch_id"], "--json").json
    assert sorted(one["id"] for one in listed) == sorted(batch["invocation_ids"])


def test_what_stats_says(shell: Shell) -> None:
    name = made(shell, FAILS)
    told = shell.ok("stats", name)
    assert (told.out, told.err) == ("", f"{name} has ended nothing in the last 1h, and nothing is queued.\n")
    shell.faas("invoke", name, "-d", '{"n": 1}')
    wanted = [
        "NAME ENDED OK FAILED TIMED OUT P50 P95 P99 WAIT COLD QUEUED RUNNING LAST <age>",
        f"{name} 1 0 1 0 <ms> <ms> <ms> <ms> 1 0 0 █",
    ]
    # It is counted within seconds, and may be told to run for a moment longer.
    eventually(lambda: same(shell.ok("stats", name, "--window", "24h").out).splitlines() == wanted, "it is counted")
    (one,) = shell.ok("stats", name, "--json").json["items"]
    assert (one["failed"], sum(one["series"])) == (1, 1)
    with shell.running("stats", name, "--watch") as command:
        # The second is asked for by itself.
        command.expect(r"(?s)Watching.*NAME.*NAME")


def test_what_ps_says(shell: Shell) -> None:
    name = made(shell, FAILS)
    shell.faas("invoke", name, "-d", '{"n": 1}')
    assert same(shell.ok("ps", "--function", name).out) == (
        "ID FUNCTION STATUS AGE WAITED RAN ATTEMPTS ERROR\n"
        f"<id> {name} failed <age> <ms> <ms> 1 ValueError: no good: 1\n"
    )
    assert shell.ok("ps", "--function", name, "--status", "queued").err == "There are no such invocations.\n"


def test_one_that_waits_tells_why_and_is_cancelled(shell: Shell, cluster: Cluster) -> None:
    name = made(shell, SLEEPS, max_concurrency="1")
    first = shell.ok("invoke", name, "-d", '{"s": 25}', "--async").out.strip()
    cluster.running(first)
    second = shell.ok("invoke", name, "-d", '{"s": 0}', "--async").out.strip()
    told = shell.ok("why", second)
    assert told.out.splitlines()[-1] == (
        "It waits: all 1 of its function's max_concurrency are in use; it is the next."
    )
    assert "raise limits.max_concurrency" in told.err
    done = shell.faas("invoke", name, "-d", '{"s": 0}', "--max-wait", "1s")
    assert done.status == 7
    assert "is still queued" in done.err
    assert shell.ok("cancel", second).out == f"{second} is cancelled\n"
    again = shell.faas("cancel", second)
    assert (again.status, again.out) == (1, "")
    shell.ok("cancel", first)
    assert cluster.wait(first)["status"] == "cancelled"
    assert shell.faas("replay", first, "--wait", "--json").status in (0, 1)


def test_what_is_printed_comes_while_it_runs(shell: Shell, cluster: Cluster) -> None:
    name = made(shell, SLEEPS)
    with shell.running("invoke", name, "-d", '{"s": 28}', "--logs") as command:
        command.expect("first")
        (record,) = cluster.call("GET", f"/invocations?function_id={name}").json()["items"]
        assert record["status"] == "running"
        shell.ok("cancel", record["id"])
        command.expect(f"Invocation {record['id']} of {name} ended cancelled")
        assert command.end() == 1


def test_a_followed_function_shows_what_comes(shell: Shell) -> None:
    name = made(shell, SLEEPS)
    with shell.running("logs", "-f", name, "--json") as command:

        def shown() -> bool:
            # What has ended before it listens is not shown.
            shell.ok("invoke", name, "-d", '{"s": 0}')
            return "\n" in command.read()

        eventually(shown, "a line is shown")
        line = json.loads(command.expect(r"(?m)^\{.*\}$")[0])
    assert line["text"] == "first\n"
    assert line["stream"] in ("stdout", None)


def test_a_change_is_deployed_while_it_watches(shell: Shell) -> None:
    name = made(shell)
    code = shell.folder / name / "main.py"
    with shell.running("deploy", name, "--watch") as command:
        command.expect("Watching for changes")
        code.write_text("def handler(event, context)\n    return 'broken'\n")
        command.expect("revision 2")
        (shell.folder / name / "faas.toml").write_text('name = "x"\n')
        command.expect(r"faas\.toml: runtime: is missing")
        (shell.folder / name / "faas.toml").write_text(
            f'name = "{name}"\nruntime = "python"\nhandler = "main.handler"\n'
        )
        code.write_text("def handler(event, context):\n    return 'repaired'\n")
        eventually(lambda: shell.faas("invoke", name).out == '"repaired"\n', "the repair is deployed")


@pytest.mark.parametrize(
    ("arguments", "status", "said", "hint"),
    [
        (["invoke", "nobody"], 3, "There is no function 'nobody'.", "faas ls"),
        (["get", "nobody"], 3, "nobody", "faas ls"),
        (["stats", "nobody"], 3, "nobody", "faas ls"),
        (["logs", "nobody"], 3, "nobody", "faas ls"),
        (["why", "01993e5c-7a1b-7c3d-9e4f-5a6b7c8d9e0f"], 3, "01993e5c", "faas ps"),
        (["invoke", "x", "-d", "{bad"], 2, "-d is no JSON", "a file is -d @file.json"),
        (["invoke", "x", "--timeout", "soon"], 2, "'soon' is no duration", ""),
        (["deploy", "."], 2, "faas.toml: there is no such file", "faas init"),
        (["rm", "x"], 2, "there is nobody to ask", "--yes"),
        (["replay"], 2, "name invocations by their ids", ""),
        (["ls", "--profile", "none"], 3, "there is no profile 'none'", "faas profile set"),
        (["ps", "--batch", "nonsense"], 1, "batch", ""),
    ],
)
def test_failures_have_their_status_and_say_what_to_do(
    shell: Shell, arguments: list[str], status: int, said: str, hint: str
) -> None:
    done = shell.faas(*arguments)
    assert (done.status, done.out) == (status, ""), done
    assert said in done.err
    assert hint in done.err


def test_a_server_that_is_away_is_one_line_and_its_remedy(shell: Shell) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = shell.faas("ls", FAAS_URL=url)
    assert (done.status, done.out) == (4, "")
    assert done.err.splitlines() == [
        f"faas: can't reach {url}: [Errno 111] Connection refused",
        "      look at FAAS_URL",
    ]
    asked = shell.faas("ls", "--json", "--url", url)
    assert asked.status == 4
    assert json.loads(asked.err)["error"]["exit_status"] == 4


def test_code_that_does_not_build_is_told_with_the_compiler_s_words(shell: Shell) -> None:
    shell.ok("init", "broken", "--runtime", "go")
    (shell.folder / "broken" / "main.go").write_text("package main\n\nfunc main() { nothing() }\n")
    done = shell.faas("deploy", "broken")
    assert (done.status, done.out) == (1, "")
    assert "broken revision 1 does not build" in done.err
    assert "undefined: nothing" in done.err


def test_what_the_server_refuses_is_told_with_its_line(shell: Shell) -> None:
    shell.ok("init", "refused")
    toml = shell.folder / "refused" / "faas.toml"
    toml.write_text(toml.read_text().replace("GREETING", "LD_PRELOAD"))
    done = shell.faas("deploy", "refused")
    assert (done.status, done.out) == (2, "")
    line = 1 + toml.read_text().splitlines().index('LD_PRELOAD = "Hello"')
    assert done.err.startswith(f"faas: refused/faas.toml:{line}: environment.LD_PRELOAD") or done.err.startswith(
        f"faas: refused/faas.toml:{line - 1}: environment"
    )


def test_payloads_and_results_go_through_pipes(shell: Shell) -> None:
    name = made(shell, "def handler(event, context):\n    return [event, context.headers]\n")
    (shell.folder / "event.json").write_text('{"big": 123456789012345678901234567890}')
    assert shell.ok("invoke", name, "-d", "@event.json", "-H", "Trace=1").json == [
        {"big": 123456789012345678901234567890},
        {"Trace": "1"},
    ]
    assert shell.ok("invoke", name, "-d", "-", stdin='"é"').json == ["é", {}]
    keyed = [shell.ok("invoke", name, "--json", "--idempotency-key", name).json["id"] for _ in range(2)]
    assert keyed[0] == keyed[1]


def test_a_deleted_function_is_gone(shell: Shell) -> None:
    name = made(shell)
    assert shell.ok("rm", name, "--yes").out == f"Deleted {name}\n"
    assert shell.faas("get", name).status == 3


def test_profiles_are_kept_and_used(shell: Shell) -> None:
    url = shell.environment.pop("FAAS_URL")
    assert shell.ok("profile", "ls").out == ""
    shell.ok("profile", "set", "here", "--url", url)
    shell.ok("profile", "set", "away", "--url", f"http://127.0.0.1:{free_port()}", "--api-key-stdin", stdin="secret\n")
    assert shell.ok("profile", "ls", "--json").json[0] == {"name": "here", "url": url, "key": False, "current": True}
    shell.ok("ls")
    assert shell.faas("ls", "--profile", "away").status == 4
    shell.ok("profile", "use", "away")
    assert shell.faas("ls").status == 4
    shown = shell.ok("profile", "ls").out
    assert "away" in shown
    assert "secret" not in shown
    shell.ok("profile", "rm", "away")
    assert "away" not in shell.ok("profile", "ls").out


def test_the_shell_completes_names_of_functions(shell: Shell) -> None:
    name = made(shell)
    words = {"_FAAS_COMPLETE": "bash_complete", "COMP_WORDS": f"faas invoke {name[:4]}", "COMP_CWORD": "2"}
    done = subprocess.run(
        (sys.executable, "-c", "from faas.cli import main; main(prog_name='faas')"),
        env={**shell.environment, **words},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert f"plain,{name}" in done.stdout.splitlines()


def test_doctor_finds_the_platform_well_and_what_is_not(shell: Shell) -> None:
    found = {one["check"]: one for one in shell.ok("doctor", "--json").json}
    assert {found[name]["state"] for name in ("PostgreSQL", "Redis", "configuration")} == {"ok"}
    assert found[f"server {shell.environment['FAAS_URL']}"]["state"] == "ok"
    broken = shell.faas(
        "doctor",
        REDIS_URL=f"redis://127.0.0.1:{free_port()}/0",
        DATABASE_URL=shell.environment["DATABASE_URL"].rpartition("/")[0] + "/postgres",
    )
    assert broken.status == 1
    assert "FAIL  Redis:" in broken.out
    assert "FAIL  PostgreSQL: answers, and has no tables yet\n      → faas db upgrade\n" in broken.out
    assert os.environ.get("NO_COLOR") or "\x1b" not in broken.out


def test_the_database_s_revision_is_told_as_json(shell: Shell, cluster: Cluster) -> None:
    cluster.sql("CREATE DATABASE revisions")
    try:
        url = shell.environment["DATABASE_URL"].rpartition("/")[0] + "/revisions"
        assert shell.ok("db", "current", "--json", DATABASE_URL=url).json == {"revision": None}
        newest = shell.ok("db", "upgrade", "--json", DATABASE_URL=url).json
        assert newest["revision"] is not None
        assert shell.ok("db", "current", "--json", DATABASE_URL=url).json == newest
        assert shell.ok("db", "downgrade", "base", "--json", DATABASE_URL=url).json == {"revision": None}
    finally:
        cluster.sql("DROP DATABASE revisions WITH (FORCE)")
