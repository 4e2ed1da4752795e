"""`/metrics`: the real counting and adding up behind the HTTP side."""

from __future__ import annotations

import time

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from faas.db.stats import Total, Totals
from faas.domain.stats import BOUNDS_MS, Tally
from faas.embedded.ports import free_port
from faas.queueing.reporter import Reporter
from faas.services.metrics import Metrics
from faas.telemetry.counts import Counts
from faas.web import create_app


@pytest.fixture
def metrics(services, redis_url):
    """Makes the metrics of a process; they are closed at the end."""
    made = []

    def make(url=redis_url):
        counts = Counts()
        made.append(
            Metrics(
                counts,
                Reporter(counts, url, "controller", 60.0),
                services.measuring,
            )
        )
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def client(services, metrics):
    services.metrics = metrics()
    return create_app(services).test_client()


def scrape(client):
    """The samples of a scrape: (name, labels without order) to the value."""
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.content_type.startswith("text/plain; version=0.0.4")
    families = list(text_string_to_metric_families(response.text))
    assert len({family.name for family in families}) == len(families)
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value for family in families for sample in family.samples
    }


def test_the_platform_is_told(client, redis_url):
    with redis.Redis.from_url(redis_url) as broker:
        broker.lpush("faas", *range(7))
    found = scrape(client)
    stages = {"delayed": 1, "waiting": 2, "admitted": 3, "running": 4}
    assert {stage: found["faas_invocations", ("stage", stage)] for stage in stages} == stages
    assert found["faas_queue_oldest_seconds",] == 1.5
    assert found["faas_functions", ("state", "active")] == 5
    assert (found["faas_workers", ("engine", "simple")], found["faas_workers", ("engine", "container")]) == (6, 0)
    assert (found["faas_broker_messages",], found["faas_database_up",], found["faas_broker_up",]) == (7, 1, 1)
    assert found["faas_processes", ("role", "controller")] == 1
    assert found["faas_process_resident_memory_bytes", ("role", "controller")] > 1e6


def test_what_is_away_is_left_out_and_said(services, metrics):
    services.metrics = metrics(f"redis://127.0.0.1:{free_port()}/0")
    services.measuring.measures = services.measuring.sums = None
    found = scrape(create_app(services).test_client())
    assert (found["faas_database_up",], found["faas_broker_up",]) == (0, 0)
    assert {name for name, *_ in found} == {"faas_database_up", "faas_broker_up", "faas_build_info"}


def test_functions_are_told_by_name_and_those_without_a_series_together(client, services):
    places = {bound: BOUNDS_MS.index(bound) for bound in (16, 1024, 2**31 - 1)}
    runs = tuple(places_of(places.values()))
    tally = Tally(succeeded=3, failed=2, cold_starts=1, init_ms=1500, runs=runs, run_ms=70_000, admissions=5)
    services.measuring.sums = Totals([Total("default", "f", tally), Total(None, None, Tally(timed_out=4))], 2.5)
    found = scrape(client)
    mine, others = (("function", "f"), ("namespace", "default")), (("function", "*"), ("namespace", "*"))
    assert found["faas_function_invocations_total", *mine, ("status", "succeeded")] == 3
    assert found["faas_function_invocations_total", *mine, ("status", "failed")] == 2
    assert found["faas_function_invocations_total", *others, ("status", "timed_out")] == 4
    assert found["faas_function_load_seconds_total", *mine] == 1.5
    assert found["faas_function_admissions_total", *mine] == 5
    assert found["faas_function_run_seconds_sum", *mine] == 70
    bounds = [
        found["faas_function_run_seconds_bucket", *mine[:1], ("le", bound), *mine[1:]]
        for bound in ("0.004", "0.016", "1.024", "+Inf")
    ]
    assert bounds == [0, 1, 2, 3]
    assert found["faas_stats_lag_seconds",] == 2.5


def places_of(places):
    """Buckets with one in each of these places."""
    return [int(number in set(places)) for number in range(len(BOUNDS_MS))]


def test_a_scrape_of_a_thousand_functions_takes_a_moment(client, services):
    tally = Tally(*range(11), waits=tuple(range(len(BOUNDS_MS))), runs=tuple(range(len(BOUNDS_MS))))
    services.measuring.sums = Totals([Total("default", f"function-{n}", tally) for n in range(1000)], 2.5)
    began = time.monotonic()
    client.get("/metrics")
    assert time.monotonic() - began < 10


def test_requests_are_counted_by_route_method_and_status(client, create):
    create(name="one")
    for path in ("/functions/one", "/functions/two", "/functions/three", "/nowhere", "/nowhere/else"):
        client.get(path)
    client.open("/functions", method="BREW")
    found = scrape(client)

    def count(method, route, status):
        return found["faas_http_requests_total", ("method", method), ("route", route), ("status", status)]

    assert count("POST", "/functions", "201") == 1
    assert count("GET", "/functions/<ref>", "200") == 1
    assert count("GET", "/functions/<ref>", "404") == 2
    assert count("GET", "none", "404") == 2
    assert count("other", "none", "405") == 1
    assert found["faas_http_request_seconds_count", ("method", "GET"), ("route", "/functions/<ref>")] == 3
    assert found["faas_http_request_seconds_sum", ("method", "GET"), ("route", "/functions/<ref>")] >= 0


def test_a_scrape_tells_what_all_processes_have_counted_and_the_ended_ones_too(services, metrics):
    clients = []
    for _ in range(3):
        services.metrics = metrics()
        clients.append((create_app(services).test_client(), services.metrics))
    key = "faas_http_requests_total", ("method", "GET"), ("route", "/health/live"), ("status", "200")
    # Each client stands for a process; `create_app` was given its metrics, and asks for them at each request.
    for number, (client, mine) in enumerate(clients):
        services.metrics = mine
        for _ in range(number + 1):
            client.get("/health/live")
        assert scrape(client)[key] == sum(range(number + 2))
    services.metrics.close()
    assert scrape(client)[key] == 6


def test_odd_requests_add_no_series(client):
    scrape(client)
    before = set(scrape(client))
    for number in range(2000):
        client.open(f"/{number}/<ref>/é", method=f"M{number}")
        client.get(f"/functions/none?x={number}")
    new = {name for name in scrape(client) if name not in before}
    assert {dict(labels).get("route") for _, *labels in new} == {"none", "/functions/<ref>"}
    assert len(new) < 60


def test_what_nobody_knows_for_long_is_removed(services, redis_url):
    counts = Counts()
    metrics = Metrics(
        counts,
        Reporter(counts, redis_url, "controller", 60.0),
        services.measuring,
        forget_s=0.05,
    )
    with redis.Redis.from_url(redis_url, decode_responses=True) as broker:
        broker.hset("faas:metrics", '["faas_unheard_of"]', 1)
        metrics.scrape(())
        assert broker.hexists("faas:metrics", '["faas_unheard_of"]')
        time.sleep(0.1)
        metrics.scrape(())
        assert not broker.hexists("faas:metrics", '["faas_unheard_of"]')
    metrics.close()


def test_what_the_code_does_not_know_is_left_out(client, redis_url):
    scrape(client)
    before = {name for name, *_ in scrape(client)}
    with redis.Redis.from_url(redis_url) as broker:
        for field in (
            "no json",
            '"faas_claims"',
            '["faas_unheard_of"]',
            '["faas_claims"]',
            '["faas_claims","lost"]',
            '["faas_claims","claimed","more"]',
            '["faas_claims",7]',
            '["faas_http_requests","GET","/odd","200"]',
            '["faas_http_requests","GET","none","2000"]',
            '["faas_broker_seconds","publish","0.7"]',
            '["faas_broker_seconds","publish"]',
            '["faas_processes","worker"]',
        ):
            broker.hset("faas:metrics", field, 1)
        broker.hset("faas:metrics", '["faas_claims","nothing"]', "nan")
    found = scrape(client)
    assert {name for name, *_ in found} == before
    assert found["faas_claims_total", ("result", "claimed")] == found["faas_claims_total", ("result", "nothing")] == 0
    assert ("faas_http_requests_total", ("method", "GET"), ("route", "/odd"), ("status", "200")) not in found
