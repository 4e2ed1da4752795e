"""`/metrics`, for Prometheus."""

from __future__ import annotations

from flask import Blueprint, Response, current_app

from faas.telemetry.exposition import CONTENT_TYPE
from faas.web.context import metrics

blueprint = Blueprint("metrics", __name__)


@blueprint.get("/metrics")
def scrape() -> Response:
    """The platform's numbers, and what all of its processes have counted."""
    routes = (rule.rule for rule in current_app.url_map.iter_rules())
    return Response(metrics().scrape(routes), content_type=CONTENT_TYPE)
