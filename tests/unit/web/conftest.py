"""The HTTP side over services in memory."""

from __future__ import annotations

import base64
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from memory_services import Services

from faas.web import create_app

SOURCE = b"def handler(event, context):\n    return event\n"


@pytest.fixture
def services():
    return Services()


@pytest.fixture
def client(services):
    return create_app(services).test_client()


@pytest.fixture
def body():
    """A function's fields; keywords replace or add some."""

    def make(**fields):
        whole = {
            "name": "hello",
            "runtime": "python",
            "handler": "main.handler",
            "code": base64.b64encode(SOURCE).decode(),
        }
        return {**whole, **fields}

    return make


@pytest.fixture
def create(client, body):
    def post(**fields):
        response = client.post("/functions", json=body(**fields))
        assert response.status_code == 201, response.text
        return response.json

    return post


@pytest.fixture
def is_problem():
    """Asserts that an answer is a problem document, whole and without anything of the inside; returns it."""

    def check(response, status, field=None):
        assert response.status_code == status, response.text[:500]
        assert response.content_type == "application/problem+json"
        document = response.json
        assert {"type", "title", "status", "detail"} <= set(document)
        assert document["status"] == status
        assert document["title"]
        assert "Traceback" not in response.text
        assert "Location" not in response.headers
        if field is not None:
            assert any(name == field or name.startswith(f"{field}.") for name in document["errors"]), document
        return document

    return check
