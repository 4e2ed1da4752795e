"""Functions as steps of an ordinary Celery application's workflows: its worker and its callers are processes of their own, which know the broker, their own
result backend, and where the platform is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from e2e.cluster import PATIENCE, WITH_ONE_ENGINE, WORK, Cluster, eventually, peak

pytestmark = [pytest.mark.timeout(400), WITH_ONE_ENGINE]

# A message that a dead worker held is delivered again by Celery's transport: to a worker that starts after so many seconds at once, to the others a
# minute or two later.
REDELIVERED_S = 5
TEAM = """
import os

from celery import Celery

import faas.celery

app = Celery("team", broker=os.environ["BROKER"], backend=os.environ["BROKER"])
app.conf.broker_connection_retry_on_startup = True
app.conf.broker_transport_options = {"visibility_timeout": {redelivered}}
app.conf.task_default_queue = "team"


@app.task(name="team.join")
def join(values):
    return {"joined": values}


@app.task(name="team.double")
def double(value):
    return 2 * value


@app.task(name="team.note")
def note(request, error, trace):
    with app.connection_for_write() as connection:
        connection.default_channel.client.rpush("team-notes", f"{request.id} {type(error).__name__} {error}")
"""
CALLER = """
import json
from celery import chain, chord, group
from celery.result import AsyncResult
from faas.celery import function
from team import app, double, join, note

def get(result):
    return result.get(timeout={patience})

print(json.dumps({code}))
"""


class Team:
    """The application of a team.

    Args:
        folder: for its module and its log.
    """

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self._folder = folder
        self._environment = {
            **cluster.environment(),
            "BROKER": cluster.redis_url,
            "FAAS_URL": cluster.url(),
            "PYTHONPATH": os.pathsep.join(filter(None, (f"{folder}", os.environ.get("PYTHONPATH")))),
        }
        self.worker: subprocess.Popen[bytes] | None = None
        (folder / "team.py").write_text(TEAM.replace("{redelivered}", f"{REDELIVERED_S}"))

    def settle(self) -> None:
        """Start its worker where none runs."""
        if self.worker is None or self.worker.poll() is not None:
            self.start()

    def start(self) -> None:
        """Start its worker, with a pool of one process: a step that held it would hold up everything."""
        command = (sys.executable, "-m", "celery", "-A", "team", "worker", "-c", "1", "-l", "INFO")
        with (self._folder / "worker.log").open("ab") as log:
            # A session of its own, so that all of its processes can be killed.
            self.worker = subprocess.Popen(
                command, cwd=self._folder, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self) -> None:
        """SIGKILL for the worker's processes, all at once."""
        assert self.worker is not None
        os.killpg(self.worker.pid, signal.SIGKILL)
        self.worker.wait(timeout=30)

    def stop(self) -> None:
        """Stop the worker."""
        if self.worker is not None and self.worker.poll() is None:
            self.worker.terminate()
            try:
                self.worker.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.kill()

    def say(self, code: str) -> Any:
        """The value of an expression, in a process of its own, as JSON."""
        done = subprocess.run(
            (sys.executable, "-c", CALLER.replace("{patience}", f"{PATIENCE}").replace("{code}", code)),
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=3 * PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{done.stderr}\n{self.log()}"
        return json.loads(done.stdout)

    def log(self) -> str:
        """What its worker logged."""
        return (self._folder / "worker.log").read_text(errors="replace")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory, platform: Cluster) -> Iterator[Team]:
    """The team's application; its worker is started once for all tests."""
    made = Team(tmp_path_factory.mktemp("team"), platform)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def team(workplace: Team, cluster: Cluster) -> Team:
    """The team's application, its worker running, beside a platform that is whole."""
    workplace.settle()
    return workplace


def invocations(cluster: Cluster, function: str) -> list[dict[str, Any]]:
    """The records of a function's invocations."""
    return list(cluster.call("GET", f"/invocations?function_id={function}").json()["items"])


def test_a_chord_of_functions_in_two_languages_has_one_of_the_teams_tasks_for_its_body(
    cluster: Cluster, team: Team
) -> None:
    python = cluster.deploy("def handler(event, context):\n    return {'python': event['n'] + 1}\n")
    node = cluster.deploy("exports.handler = async (event) => ({node: event.n + 1});\n", "nodejs")
    said = team.say(f'get(chord([function("{python}", {{"n": 1}}), function("{node}", {{"n": 2}})], join.s()).delay())')
    assert said == {"joined": [{"python": 2}, {"node": 3}]}


def test_a_function_is_a_step_between_two_tasks_of_a_chain(cluster: Cluster, team: Team) -> None:
    more = cluster.deploy("def handler(event, context):\n    return event + 1\n")
    assert team.say(f'get(chain(double.s(4), function("{more}"), double.s(), function("{more}")).delay())') == 19


def test_a_function_is_the_body_of_a_chord_and_takes_the_results_of_its_header(cluster: Cluster, team: Team) -> None:
    total = cluster.deploy("def handler(event, context):\n    return sum(event)\n")
    assert team.say(f'get(chord([double.s(1), double.s(2), double.s(3)], function("{total}")).delay())') == 12


def test_a_failure_reaches_the_error_callback_and_whoever_asks_for_the_result(cluster: Cluster, team: Team) -> None:
    bad = cluster.deploy("def handler(event, context):\n    raise LookupError(f'no {event}')\n")
    code = f"""(lambda result: [result.id, repr(result.get(propagate=False, timeout={PATIENCE})), result.state, result.traceback])(
        function("{bad}").apply_async(("x",), link_error=note.s()))"""
    id_, error, state, trace = team.say(code)
    assert (error.startswith("FunctionRaised"), state) == (True, "FAILURE"), error
    assert "LookupError" in error
    assert 'File "main.py", line 2, in handler' in trace
    with redis.Redis.from_url(cluster.redis_url, decode_responses=True) as client:
        note = eventually(lambda: client.lpop("team-notes"), "the error callback has run")
    assert note == f"{id_} FunctionRaised LookupError: no x"


def test_a_chord_whose_function_fails_fails_with_it(cluster: Cluster, team: Team) -> None:
    good = cluster.deploy("def handler(event, context):\n    return event\n")
    code = f"""(lambda result: [type(result.get(propagate=False, timeout={PATIENCE})).__name__, result.state])(
        chord([function("{good}", 1), function("no-such-function", 2)], join.s()).delay())"""
    assert team.say(code) == ["ChordError", "FAILURE"]


def test_functions_hold_no_process_of_the_teams_pool_while_they_run(cluster: Cluster, team: Team) -> None:
    work = cluster.deploy(max_concurrency=8)
    results = team.say(f'get(group(function("{work}", {{"sleep": 3}}) for _ in range(8)).delay())')
    # One after the other, as a pool of one process would have it, no two would overlap.
    assert peak((one["start"], one["end"]) for one in results) > 1


def test_a_team_worker_that_is_killed_loses_nothing_and_nothing_runs_twice(cluster: Cluster, team: Team) -> None:
    work = cluster.deploy()
    task = team.say(f'chain(function("{work}", {{"sleep": 3, "token": "t"}}), join.s()).delay().id')
    eventually(lambda: invocations(cluster, work), "the function is invoked")
    team.kill()
    time.sleep(REDELIVERED_S + 1)
    team.start()
    said = team.say(f'get(AsyncResult("{task}", app=app))')
    assert said["joined"]["token"] == "t"
    assert [one["attempts"] for one in invocations(cluster, work)] == [1]


def test_a_platform_worker_that_is_killed_costs_a_chain_nothing_but_time(cluster: Cluster, team: Team) -> None:
    work = cluster.deploy()
    task = team.say(f'chain(function("{work}", {{"sleep": 3, "token": "t"}}), join.s()).delay().id')
    (record,) = eventually(lambda: invocations(cluster, work), "the function is invoked")
    cluster.kill(cluster.running(record["id"]))
    assert team.say(f'get(AsyncResult("{task}", app=app))')["joined"]["token"] == "t"


def test_a_controller_that_is_away_costs_a_chain_nothing_but_time(cluster: Cluster, team: Team) -> None:
    work = cluster.deploy()
    task = team.say(f'function("{work}", {{"sleep": 3, "token": "t"}}).delay().id')
    eventually(lambda: invocations(cluster, work), "the function is invoked")
    cluster.kill("controller1")
    later = team.say(f'function("{work}", {{"token": "u"}}).delay().id')
    cluster.begin("controller1")
    assert team.say(f'[get(AsyncResult(one, app=app))["token"] for one in ("{task}", "{later}")]') == ["t", "u"]


def test_a_task_that_is_revoked_takes_its_invocation_with_it(cluster: Cluster, team: Team) -> None:
    work = cluster.deploy(WORK, timeout="10m")
    task = team.say(f'function("{work}", {{"sleep": 500}}).delay().id')
    (record,) = eventually(lambda: invocations(cluster, work), "the function is invoked")
    cluster.running(record["id"])
    team.say(f'app.control.revoke("{task}")')
    assert cluster.wait(record["id"])["status"] == "cancelled"
    assert (
        team.say(
            f'(AsyncResult("{task}", app=app).get(propagate=False, timeout=30), AsyncResult("{task}", app=app).state)[1]'
        )
        == "REVOKED"
    )
