"""`/metrics`."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families


@pytest.fixture
def samples(client):
    """The samples of a scrape: (name, labels without order) to the value."""

    def scrape():
        response = client.get("/metrics")
        assert response.status_code == 200
        assert response.content_type.startswith("text/plain; version=0.0.4")
        families = list(text_string_to_metric_families(response.text))
        assert len({family.name for family in families}) == len(families)
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    return scrape


def test_the_platform_is_told(samples):
    found = samples()
    stages = {"delayed": 1, "waiting": 2, "admitted": 3, "running": 4}
    assert {stage: found["faas_invocations", ("stage", stage)] for stage in stages} == stages
    assert found["faas_queue_oldest_seconds",] == 1.5
    assert found["faas_functions", ("state", "active")] == 5
    assert found["faas_workers", ("engine", "simple")] == 6
    assert (found["faas_broker_messages",], found["faas_database_up",], found["faas_broker_up",]) == (7, 1, 1)


def test_what_is_away_is_left_out_and_said(samples, services):
    services.measuring.measures = services.measuring.messages = None
    found = samples()
    assert (found["faas_database_up",], found["faas_broker_up",]) == (0, 0)
    assert not [name for name, *_ in found if name in ("faas_invocations", "faas_workers", "faas_broker_messages")]


def test_requests_are_counted_by_route_method_and_status(client, create, samples):
    create(name="one")
    for path in ("/functions/one", "/functions/two", "/functions/three", "/nowhere", "/nowhere/else"):
        client.get(path)
    client.open("/functions", method="BREW")
    found = samples()

    def count(method, route, status):
        return found["faas_http_requests_total", ("method", method), ("route", route), ("status", status)]

    assert count("POST", "/functions", "201") == 1
    assert count("GET", "/functions/<ref>", "200") == 1
    assert count("GET", "/functions/<ref>", "404") == 2
    assert count("GET", "none", "404") == 2
    assert count("other", "none", "405") == 1
    assert found["faas_http_request_seconds_count", ("method", "GET"), ("route", "/functions/<ref>")] == 3
    assert found["faas_http_request_seconds_sum", ("method", "GET"), ("route", "/functions/<ref>")] >= 0


def test_each_application_counts_its_own(client, samples, services):
    samples()
    assert samples()["faas_http_requests_total", ("method", "GET"), ("route", "/metrics"), ("status", "200")] == 1
