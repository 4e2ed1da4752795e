"""Whether there are traces, and what they cost who has none."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from faas import config
from faas.errors import ConfigError
from faas.telemetry import tracing

CLOSED = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("environ", "on"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": CLOSED}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": CLOSED}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": CLOSED, "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": CLOSED, "FAAS_TRACING": "false"}, False),
        ({"FAAS_TRACING": "1"}, True),
    ],
)
def test_they_are_on_where_there_is_a_receiver_or_it_is_said(environ, on):
    assert config.load(environ).tracing is on


def run(script: str, **environ: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_where_they_are_off_the_sdk_is_not_imported():
    script = (
        "import sys\n"
        "from faas import config\n"
        "from faas.telemetry import tracing\n"
        "import faas.web, faas.web.gunicorn, faas.worker.lifecycle, faas.reconciler.loop, faas.client\n"
        "tracing.start(config.load({}), 'controller')\n"
        # The names of OpenTelemetry's API are imported by redis-py, where they are there.
        "heavy = ('opentelemetry.sdk.trace', 'opentelemetry.exporter', 'faas.telemetry.spans')\n"
        "print(tracing.current(), [name for name in sys.modules if name.startswith(heavy)])"
    )
    assert run(script) == "None []"


def test_without_the_packages_one_line_says_what_is_missing():
    script = (
        "import sys\n"
        "sys.modules['opentelemetry'] = None\n"
        "from faas import config\n"
        "from faas.errors import ConfigError\n"
        "from faas.telemetry import tracing\n"
        "try:\n"
        "    tracing.check(config.load({'FAAS_TRACING': 'true'}))\n"
        "except ConfigError as error:\n"
        "    print(error)"
    )
    assert run(script) == "FAAS_TRACING: OpenTelemetry is not installed; pip install 'faas-platform[tracing]'"


def test_a_receiver_that_is_away_costs_no_memory_and_does_not_hold_up_the_end(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", CLOSED)
    tracing.start(config.load(), "controller")
    try:
        traces = tracing.current()
        began = time.monotonic()
        for _ in range(10_000):
            request = traces.request("GET", {})
            request.answered("GET", "/functions", 200)
            request.end()
        # Nothing waits for the receiver: what does not fit into the queue is dropped.
        assert time.monotonic() - began < 30
        began = time.monotonic()
    finally:
        tracing.stop()
    assert time.monotonic() - began < 30
    assert tracing.current() is None


def test_what_can_not_be_right_is_said():
    with pytest.raises(ConfigError, match="FAAS_TRACING: must be true or false"):
        config.load({"FAAS_TRACING": "perhaps"})
