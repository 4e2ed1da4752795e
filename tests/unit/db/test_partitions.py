"""Ids by time."""

from datetime import UTC, datetime

import pytest

from faas.db.partitions import least_id
from faas.domain.ids import uuid7


def test_the_least_id_of_a_moment_is_not_over_those_made_then():
    before = datetime.now(UTC)
    assert least_id(before) <= uuid7() < least_id(before.replace(year=before.year + 1, day=1))


@pytest.mark.parametrize("year", [1, 422, 1969])
def test_before_1970_it_is_the_least_of_all(year):
    assert least_id(datetime(year, 1, 1, tzinfo=UTC)) == "00000000-0000-0000-0000-000000000000"
