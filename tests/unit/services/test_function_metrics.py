"""What `/metrics` tells of functions is what it would be if nothing were kept."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families

from faas.db.stats import Total, Totals
from faas.domain.stats import BOUNDS_MS, Tally
from faas.services.function_metrics import FunctionMetrics


def totals(**succeeded):
    """Functions of these names, and all others together, that have succeeded so often."""
    runs = [0] * len(BOUNDS_MS)
    runs[3] = sum(succeeded.values())
    tally = Tally(runs=tuple(runs), run_ms=7)
    named = [Total("default", name, replace(tally, succeeded=count)) for name, count in succeeded.items()]
    return Totals([*named, Total(None, None, tally)], 1.0)


def test_what_is_kept_is_told_as_long_as_it_is_so():
    kept = FunctionMetrics()
    for found in (totals(), totals(a=1, b=2), totals(a=1, b=3), totals(b=3, c=1), totals(a=9), totals()):
        told = kept.text(found)
        assert told == FunctionMetrics().text(found)
        assert told == kept.text(found)
        families = list(text_string_to_metric_families(told))
        assert len({family.name for family in families}) == len(families) == 8
        ended = next(family for family in families if family.name == "faas_function_invocations")
        counts = {one.labels["function"]: one.value for one in ended.samples if one.labels["status"] == "succeeded"}
        assert counts == {one.name or "*": one.tally.succeeded for one in found.functions}


def test_nothing_in_a_name_is_taken_for_a_metric():
    odd = 'a"\n# HELP b c\n# TYPE b gauge\nb 1\n\\'
    found = list(text_string_to_metric_families(FunctionMetrics().text(totals(**{odd: 4}))))
    assert len(found) == 8
    assert any(one.labels.get("function") == odd and one.value == 4 for one in found[0].samples)
