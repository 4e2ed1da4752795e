"""The trace of whoever calls: sent along where the application uses OpenTelemetry, which the client itself does not need."""

from __future__ import annotations

import sys


def headers() -> dict[str, str]:
    """The headers that name the caller's current span, by the application's own propagators; none where nothing has imported OpenTelemetry."""
    carrier: dict[str, str] = {}
    if "opentelemetry.trace" in sys.modules:
        from opentelemetry import propagate

        propagate.inject(carrier)
    return carrier
