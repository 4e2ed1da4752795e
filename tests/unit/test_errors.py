"""The error tree."""

from __future__ import annotations

import pickle

import pytest

from faas import errors


def tree(root: type[Exception]) -> list[type[Exception]]:
    return [root, *(below for child in root.__subclasses__() for below in tree(child))]


def test_the_docstring_draws_the_whole_tree():
    named = {one.__name__ for one in tree(errors.FaasError) if one.__module__ == "faas.errors"}
    assert named == {one for one in named if one in (errors.__doc__ or "")}


@pytest.mark.parametrize("kind", tree(errors.ClientError), ids=lambda kind: kind.__name__)
def test_each_client_error_has_a_status_and_a_title(kind):
    assert 400 <= kind.status < 500
    assert kind.title


def test_invalid_names_its_fields():
    error = errors.Invalid({"name": ["Too long.", "Odd."], "code": ["Missing."]})
    assert error.errors == {"name": ["Too long.", "Odd."], "code": ["Missing."]}
    assert str(error) == "name: Too long. Odd.; code: Missing."


def test_a_failed_invocation_tells_what_failed_and_survives_pickling():
    error = errors.InvocationFailed("ValueError", "no", ["line 1"])
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.type, again.stack_trace) == ("ValueError: no", "ValueError", ["line 1"])
