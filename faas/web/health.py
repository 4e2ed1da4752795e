"""`/health`: whether the platform works, and whether this process does."""

from __future__ import annotations

from flask import Blueprint, Response

from faas.web.context import services
from faas.web.render import json_answer

blueprint = Blueprint("health", __name__)


@blueprint.get("/health")
def health() -> Response:
    """Every part the controller needs."""
    report = services().health.check()
    return json_answer(
        {"status": "ok" if report.ok else "degraded", "checks": report.checks}, 200 if report.ok else 503
    )


@blueprint.get("/health/live")
def live() -> Response:
    """This process alone."""
    return json_answer({"status": "ok"})
