"""Each alert fires: in a real Prometheus by a real cause, and with its own times over series that are made up."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from e2e.cluster import Cluster, eventually, parallel

from monitoring.prometheus import DOCS, Prometheus, promtool

FAILS = "def handler(event, context):\n    raise ValueError('always')\n"
ALERTS = re.findall(r"- alert: (\w+)", (DOCS / "alerts.yml").read_text())
SERIES = Path(__file__).with_name("series.yml")


def test_the_rules_and_the_configuration_are_right() -> None:
    assert f"SUCCESS: {len(ALERTS)} rules found" in promtool("check", "rules", str(DOCS / "alerts.yml"))
    assert "SUCCESS" in promtool("check", "config", str(DOCS / "prometheus.yml"))


def test_the_page_tells_what_to_do_about_each_alert() -> None:
    page = (DOCS.parent / "monitoring.md").read_text()
    assert re.findall(r"^\| `(Faas\w+)` \|", page, re.MULTILINE) == ALERTS


def test_each_alert_fires_after_its_time_and_none_where_all_is_well(tmp_path: Path) -> None:
    text = SERIES.read_text()
    assert set(re.findall(r"alertname: (\w+)", text)) == set(ALERTS)
    (tmp_path / "alerts.yml").write_text((DOCS / "alerts.yml").read_text())
    (tmp_path / "series.yml").write_text(text)
    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / "series.yml"))


def test_functions_that_fail_and_too_little_memory(cluster: Cluster, prometheus: Prometheus) -> None:
    fails, sleeps = cluster.deploy(FAILS), cluster.deploy(memory_mb=256, max_concurrency=2)
    cluster.invoke(fails)
    ended = 'sum(faas_function_invocations_total{status="failed"})'
    eventually(lambda: prometheus.value(ended), "the first failure is counted")
    prometheus.await_alerts("FaasErrorRate", meanwhile=lambda: parallel(lambda _: cluster.submit(fails), range(8)))
    for _ in range(2):
        cluster.submit(sleeps, {"sleep": 60})
    prometheus.await_alerts("FaasSandboxesExhausted")


def test_a_worker_that_dies(cluster: Cluster, prometheus: Prometheus) -> None:
    function = cluster.deploy(max_concurrency=1)
    eventually(lambda: prometheus.value("faas_broker_up") == 1, "the platform is scraped")
    cluster.running(cluster.submit(function, {"sleep": 60}))
    cluster.submit(function)
    cluster.kill("worker1")
    prometheus.await_alerts("FaasPlatformFailures")
    prometheus.await_alerts("FaasNoWorkers", "FaasQueueOld")


def test_sandboxes_that_do_not_start(cluster: Cluster, prometheus: Prometheus) -> None:
    eventually(lambda: prometheus.value("sum(faas_sandbox_start_failures_total)") is not None, "it is scraped")
    # One that was started has made the folder.
    cluster.invoke(cluster.deploy())
    sandboxes, away = cluster.work / "sandboxes", cluster.work / "sandboxes-away"
    sandboxes.rename(away)
    try:
        sandboxes.write_text("in the way")
        function = cluster.create(FAILS, "nodejs")
        prometheus.await_alerts("FaasSandboxStartsFail", meanwhile=lambda: cluster.submit(function))
    finally:
        sandboxes.unlink()
        away.rename(sandboxes)


def test_a_clock_that_is_away(cluster: Cluster, prometheus: Prometheus) -> None:
    eventually(lambda: prometheus.value("faas_stats_lag_seconds"), "the platform is scraped")
    cluster.kill("clock1")
    prometheus.await_alerts("FaasReconcilerNotRunning", "FaasStatsLag")


def test_servers_and_controllers_that_are_away(cluster: Cluster, prometheus: Prometheus) -> None:
    eventually(lambda: prometheus.value("faas_broker_up") == 1, "the platform is scraped")
    cluster.kill("redis")
    prometheus.await_alerts("FaasBrokerDown")
    cluster.kill("postgres")
    prometheus.await_alerts("FaasDatabaseDown")
    # Its processes outlive a master that is killed for a while.
    cluster.kill("controller1", signal.SIGINT)
    prometheus.await_alerts("FaasControllerDown")
