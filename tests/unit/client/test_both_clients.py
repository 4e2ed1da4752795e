"""`Client` and `AsyncClient` have the same surface: what one can do, the other can, by the same names and arguments."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from faas.client import AsyncClient, Client, Handle
from faas.client.aio import AsyncHandle

URL = "http://127.0.0.1:9"


def resources(client: Client | AsyncClient) -> dict[str, type]:
    """The client's class and those of its public attributes, by the attributes' names."""
    public = {name: type(value) for name, value in vars(client).items() if not name.startswith("_")}
    return {"": type(client), "handle": type(client.handle("i")), **public}


async def of_asyncio() -> dict[str, type]:
    async with AsyncClient(URL) as client:
        return resources(client)


with Client(URL) as made:
    SYNC = resources(made)
ASYNC = asyncio.run(of_asyncio())
# What Python calls itself has other names for asyncio.
SPECIAL = {"__aenter__": "__enter__", "__aexit__": "__exit__"}


def methods(kind: type) -> dict[str, Callable[..., Any]]:
    return {
        SPECIAL.get(name, name): value
        for name, value in vars(kind).items()
        if callable(value) and (not name.startswith("_") or name in {*SPECIAL, *SPECIAL.values(), "__init__"})
    }


def parameters(method: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    return [(one.name, one.kind, one.default) for one in inspect.signature(method).parameters.values()]


def test_both_have_the_same_resources() -> None:
    assert SYNC.keys() == ASYNC.keys()
    assert {"", "handle", "functions", "invocations", "secrets", "url"} <= SYNC.keys()
    assert (SYNC["handle"], ASYNC["handle"]) == (Handle, AsyncHandle)


@pytest.mark.parametrize("name", sorted(SYNC.keys() - {"url"}))
def test_a_resource_has_the_same_methods_with_the_same_arguments(name: str) -> None:
    sync, other = methods(SYNC[name]), methods(ASYNC[name])
    assert sync.keys() == other.keys()
    assert len(sync) >= 3
    assert {method: parameters(sync[method]) for method in sync} == {
        method: parameters(other[method]) for method in other
    }


@pytest.mark.parametrize("name", sorted(SYNC.keys() - {"url"}))
def test_what_the_one_returns_the_other_awaits_and_what_the_one_yields_the_other_yields(name: str) -> None:
    sync, other = methods(SYNC[name]), methods(ASYNC[name])
    # They only make a value, or hand over to a method that is looked at here.
    plain = {"__init__", "handle", "logs", "follow"}
    for method in sync.keys() - plain:
        if inspect.isgeneratorfunction(sync[method]):
            assert inspect.isasyncgenfunction(other[method]), method
        else:
            assert inspect.iscoroutinefunction(other[method]), method
