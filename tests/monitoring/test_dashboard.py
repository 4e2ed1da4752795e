"""The dashboard and the page of metrics, held against a real Prometheus that scrapes a real platform."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from e2e.cluster import Cluster, eventually
from prometheus_client.parser import text_string_to_metric_families

from monitoring.prometheus import DOCS, Prometheus, promtool

PAGE = DOCS.parent / "monitoring.md"
DASHBOARD: dict[str, Any] = json.loads((DOCS / "grafana-dashboard.json").read_text())
FAILS = "def handler(event, context):\n    raise ValueError('always')\n"
# A division by nothing, or by a rate of what has not happened in the window.
MAY_BE_EMPTY = {"Waiting for a place of the function"}


def panels() -> Iterator[tuple[str, str]]:
    """Titles and expressions, with the dashboard's variables set as for all functions."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            expression = target["expr"].replace("$__rate_interval", "30s")
            yield panel["title"], re.sub(r"\$(namespace|function)\b", ".*", expression)


def test_every_expression_of_the_dashboard_has_series(cluster: Cluster, prometheus: Prometheus) -> None:
    works, fails = cluster.deploy(), cluster.deploy(FAILS)
    for function in (works, fails) * 3:
        cluster.invoke(function)
    counted = "sum(faas_function_invocations_total) >= 6"
    eventually(lambda: prometheus.value(counted), "they are counted by function")
    cluster.invoke(works)

    def silent() -> list[str]:
        return [title for title, expression in panels() if not prometheus.query(expression)]

    eventually(lambda: set(silent()) <= MAY_BE_EMPTY, "every panel shows something")


def test_the_dashboard_and_the_alerts_ask_for_nothing_that_is_not_there(cluster: Cluster) -> None:
    known = {sample for family in families(cluster) for sample in series_of(family)} | {"up", "scrape_duration_seconds"}
    rules = re.findall(r"expr: (?:\|\n)?(.*?)\n +(?:for|labels):", (DOCS / "alerts.yml").read_text(), re.DOTALL)
    asked = {
        name for text in [*rules, *(one for _, one in panels())] for name in re.findall(r"\bfaas_\w+|\bup\b", text)
    }
    assert len(asked) > 30
    assert asked - known == set()


def test_the_page_has_every_metric_and_no_other(cluster: Cluster) -> None:
    written = dict(re.findall(r"^\| `(faas_\w+)`[^|]*\| (counter|gauge|histogram) \|", PAGE.read_text(), re.MULTILINE))
    told = {family.name + ("_total" if family.type == "counter" else ""): family.type for family in families(cluster)}
    assert written == told


def test_the_metrics_are_as_prometheus_asks_for(cluster: Cluster, tmp_path: Path) -> None:
    assert promtool("check", "metrics", stdin=cluster.call("GET", "/metrics").text).strip() == ""


def families(cluster: Cluster) -> list[Any]:
    """The metrics of a scrape, once there are those by function."""
    cluster.invoke(cluster.deploy())

    def look() -> list[Any] | None:
        found = list(text_string_to_metric_families(cluster.call("GET", "/metrics").text))
        return found if any(one.name == "faas_stats_lag_seconds" for one in found) else None

    return eventually(look, "functions are told of")


def series_of(family: Any) -> set[str]:
    """The names of a metric's series."""
    if family.type == "histogram":
        return {f"{family.name}_{part}" for part in ("bucket", "count", "sum")}
    return {f"{family.name}_total" if family.type == "counter" else family.name}
