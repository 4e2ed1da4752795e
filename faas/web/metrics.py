"""`/metrics`, for Prometheus."""

from __future__ import annotations

from flask import Blueprint, Response

from faas.telemetry.metrics import CONTENT_TYPE
from faas.web.context import metrics

blueprint = Blueprint("metrics", __name__)


@blueprint.get("/metrics")
def scrape() -> Response:
    """This process's requests, and the platform's numbers."""
    return Response(metrics().text(), content_type=CONTENT_TYPE)
