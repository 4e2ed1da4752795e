"""What the tests of the real server run: the HTTP side over services in memory, with one function there."""

from __future__ import annotations

from memory_services import Services

from faas.domain.function import Runtime, Spec
from faas.services.requests import NewFunction
from faas.web import create_app


def make():
    services = Services()
    for name in ("fast", "slow"):
        services.functions.create(NewFunction(name, Spec(Runtime.PYTHON, "main.handler"), b"code"))
    return create_app(services)
