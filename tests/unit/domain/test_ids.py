"""UUIDv7."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from faas.domain import ids


def test_an_id_is_a_uuid_of_version_7_with_the_time_in_front():
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(ids.uuid7())
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert before - 1 <= made.int >> 80 <= time.time_ns() // 1_000_000 + 60_000


def test_ids_of_one_process_sort_by_when_they_were_made():
    made = [ids.uuid7() for _ in range(5000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_threads_never_make_the_same_id():
    with ThreadPoolExecutor(8) as pool:
        lists = list(pool.map(lambda _: [ids.uuid7() for _ in range(500)], range(8)))
    assert len({one for some in lists for one in some}) == 4000
    assert all(some == sorted(some) for some in lists)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "0192F0C1-0000-7000-8000-000000000000",
        "{0192f0c1-0000-7000-8000-000000000000}",
        "0192f0c1-0000-7000-8000-00000000000g",
    ],
)
def test_only_the_canonical_form_is_an_id(text):
    assert not ids.is_id(text)


@pytest.mark.parametrize(
    "text",
    [
        "0192F0C1-0000-7000-8000-000000000000",
        "0192f0c10000700080000000000000aa",
        "{0192f0c1-0000-7000-8000-000000000000}",
    ],
)
def test_any_notation_of_a_uuid_looks_like_an_id(text):
    assert ids.looks_like_id(text)
    assert not ids.looks_like_id(text[:-2])
