"""Traces, from a client's span over the controller and a worker into the function, with a receiver that speaks OTLP."""

from __future__ import annotations

import secrets
import signal
from collections.abc import Iterator

import pytest
from otlp import Received, Receiver, receiver

from e2e.cluster import Cluster, eventually
from faas.client import Client

SERVER, PRODUCER, CONSUMER = 2, 4, 5
SOURCE = """
def handler(event, context):
    if event == "fail":
        raise ValueError("a secret")
    return context.headers
"""
NODE = "exports.handler = async (event, context) => context.headers;\n"


@pytest.fixture(scope="module")
def otlp() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture(
    scope="module",
    params=[
        ("simple", "fast"),
        ("simple", "stock"),
        pytest.param(("container", "fast"), marks=pytest.mark.container),
    ],
    ids="-".join,
)
def traced(
    request: pytest.FixtureRequest, otlp: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    engine, dispatch = request.param
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp.url,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "WORKER_DISPATCH": dispatch,
    }
    cluster = Cluster(tmp_path_factory.mktemp("traced"), engine, controllers=1, workers=1, clocks=1, settings=settings)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def new_trace() -> tuple[str, str, dict[str, str]]:
    """A trace of the test's own: its id, the caller's span, and the headers that say so."""
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    return trace_id, span_id, {"traceparent": f"00-{trace_id}-{span_id}-01"}


def invoke(cluster: Cluster, function: str, payload: object, headers: dict[str, str]) -> tuple[dict, str]:
    """The record of a call that was waited for, and the answer's `traceparent`."""
    answer = cluster.call(
        "POST", "/invoke", json={"function_id": function, "payload": payload}, headers={"Prefer": "wait=60", **headers}
    )
    assert answer.status_code == 200, answer.text
    return answer.json(), answer.headers["traceparent"]


def spans(otlp: Receiver, trace_id: str, *wanted: str) -> dict[str, Received]:
    """The spans of a trace by name, once all of these have come."""
    eventually(lambda: {span.name for span in otlp.of(trace_id)} >= set(wanted), f"{wanted} have come")
    return {span.name: span for span in otlp.of(trace_id)}


@pytest.mark.parametrize(("runtime", "source"), [("python", SOURCE), ("nodejs", NODE)])
def test_one_trace_from_the_caller_to_the_function(traced: Cluster, otlp: Receiver, runtime: str, source: str) -> None:
    function = traced.deploy(source, runtime, name=f"traced-{runtime}-{secrets.token_hex(4)}")
    name = traced.call("GET", f"/functions/{function}").json()["name"]
    for cold in (True, False):
        trace_id, caller, headers = new_trace()
        record, answered = invoke(traced, function, 1, headers)
        parts = ("wait for a worker", *(("load",) if cold else ()), "run", "commit")
        found = spans(otlp, trace_id, "POST /invoke", "send faas", f"process {name}", *parts)
        request, sent, process = found["POST /invoke"], found["send faas"], found[f"process {name}"]
        assert (request.service, request.kind, request.parent_id) == ("faas-controller", SERVER, caller)
        assert answered == f"00-{trace_id}-{request.span_id}-01"
        assert (sent.service, sent.kind, sent.parent_id) == ("faas-controller", PRODUCER, request.span_id)
        assert (process.service, process.kind, process.parent_id) == ("faas-worker", CONSUMER, request.span_id)
        assert process.attributes["faas.invocation_id"] == record["invocation_id"]
        assert process.attributes["faas.coldstart"] is cold
        assert not process.failed
        assert {found[part].parent_id for part in parts} == {process.span_id}
        assert ("load" in found) is cold
        assert process.began <= found["run"].began <= found["run"].ended <= found["commit"].began <= process.ended
        # What the function is given names the attempt that runs it.
        assert record["result"]["traceparent"] == f"00-{trace_id}-{process.span_id}-01"


def test_each_attempt_is_a_span_that_tells_the_type_of_its_error_alone(traced: Cluster, otlp: Receiver) -> None:
    function = traced.deploy(SOURCE, retry={"max_attempts": 2, "backoff": "10ms"})
    trace_id, _, headers = new_trace()
    record, _ = invoke(traced, function, "fail", headers)
    assert (record["status"], record["attempts"]) == ("failed", 2)

    def processed() -> list[Received]:
        return [span for span in otlp.of(trace_id) if span.kind == CONSUMER]

    eventually(lambda: len(processed()) == 2, "both attempts have come")
    assert {span.attributes["faas.attempt"] for span in processed()} == {1, 2}
    assert all(span.failed and span.attributes["error.type"] == "ValueError" for span in processed())
    assert "a secret" not in repr(otlp.of(trace_id))


def test_a_message_that_is_lost_does_not_lose_the_trace(traced: Cluster, otlp: Receiver) -> None:
    function = traced.deploy(SOURCE)
    trace_id, _, headers = new_trace()
    traced.kill("worker1", signal.SIGSTOP)
    try:
        answer = traced.call("POST", "/invoke", json={"function_id": function, "payload": 1}, headers=headers)
        assert answer.status_code == 202
        traced.flush_redis()
    finally:
        traced.kill("worker1", signal.SIGCONT)
    eventually(lambda: any(span.kind == CONSUMER for span in otlp.of(trace_id)), "it is run in the same trace")


def test_a_replay_is_linked_to_what_it_runs_again(traced: Cluster, otlp: Receiver) -> None:
    function = traced.deploy(SOURCE)
    first, _, headers = new_trace()
    record, _ = invoke(traced, function, 1, headers)
    second, _, headers = new_trace()
    answer = traced.call("POST", f"/invocations/{record['invocation_id']}/replay", headers=headers)
    assert answer.status_code == 202, answer.text
    asked = spans(otlp, second, "POST /invocations/<id_>/replay")["POST /invocations/<id_>/replay"]
    origin = spans(otlp, first, "POST /invoke")["POST /invoke"]
    assert asked.links == (origin.span_id,)
    eventually(lambda: any(span.kind == CONSUMER for span in otlp.of(second)), "it is run in the new trace")


def test_the_client_sends_the_trace_of_its_application(traced: Cluster, otlp: Receiver) -> None:
    from opentelemetry.sdk.trace import TracerProvider

    function = traced.deploy(SOURCE)
    with (
        TracerProvider(shutdown_on_exit=False).get_tracer("test").start_as_current_span("mine") as mine,
        Client(traced.url()) as client,
    ):
        result = client.invoke(function, 1).result(timeout=60)
    context = mine.get_span_context()
    assert result["traceparent"].split("-")[1] == f"{context.trace_id:032x}"
    request = spans(otlp, f"{context.trace_id:032x}", "POST /invoke")["POST /invoke"]
    assert request.parent_id == f"{context.span_id:016x}"


def test_lines_of_the_log_name_the_trace(traced: Cluster) -> None:
    function = traced.deploy(SOURCE)
    trace_id, _, headers = new_trace()
    invoke(traced, function, 1, headers)
    log = traced.root / "logs" / "controller1.log"
    eventually(lambda: f'"trace_id": "{trace_id}"' in log.read_text(), "the request's line names it")
