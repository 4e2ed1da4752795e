"""Traces, off by default. Where they are off, OpenTelemetry's SDK is not imported, and whoever asks gets None."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from faas.config import Settings
from faas.errors import ConfigError

if TYPE_CHECKING:
    from faas.telemetry.spans import Tracing

# What a request carries of its trace (W3C Trace Context).
HEADERS = ("traceparent", "tracestate")

_current: Tracing | None = None


def current() -> Tracing | None:
    """The process's traces; None where they are off."""
    return _current


def check(settings: Settings) -> None:
    """Raises ConfigError where the settings want traces, and the packages are not there."""
    try:
        there = not settings.tracing or importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        there = False
    if not there:
        raise ConfigError("FAAS_TRACING: OpenTelemetry is not installed; pip install 'faas-platform[tracing]'")


def start(settings: Settings, role: str) -> None:
    """Begin to trace, where the settings say so. Composition roots do, after every fork.

    Args:
        role: `controller` or `worker`.

    Raises:
        ConfigError: the packages are not there.
    """
    global _current
    if not settings.tracing or _current is not None:
        return
    check(settings)
    from faas.telemetry.spans import Tracing

    _current = Tracing(role)


def stop() -> None:
    """Send what is not sent yet, for a few seconds at most, and end. Idempotent."""
    global _current
    tracing, _current = _current, None
    if tracing is not None:
        tracing.close()
