"""A client that a generator has made of `/openapi.json` works against the server."""

from __future__ import annotations

import base64
import importlib
import json
import subprocess
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from e2e.cluster import WITH_ONE_ENGINE, Cluster

pytestmark = [pytest.mark.timeout(300), WITH_ONE_ENGINE]
_SOURCE = b"def handler(event, context):\n    print('greeting', event['name'])\n    return {'message': 'Hello, ' + event['name']}\n"


@pytest.fixture
def document(cluster: Cluster) -> dict[str, Any]:
    """The document that the server gives."""
    found: dict[str, Any] = cluster.call("GET", "/openapi.json").json()
    return found


@pytest.fixture
def generated(document: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the generated package, which can be imported."""
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    (tmp_path / "config.yaml").write_text("post_hooks: []\n")
    command = (
        *(sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none", "--fail-on-warning"),
        *(
            "--path",
            tmp_path / "openapi.json",
            "--config",
            tmp_path / "config.yaml",
            "--output-path",
            tmp_path / "made",
        ),
    )
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.syspath_prepend(tmp_path)
    return "made"


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    validate(document)
    assert document["openapi"].startswith("3.1")


def test_a_generated_client_creates_invokes_reads_and_is_refused(cluster: Cluster, generated: str) -> None:
    def call(module: str, **arguments: Any) -> Any:
        return importlib.import_module(f"{generated}.api.{module}").sync_detailed(client=client, **arguments)

    models = importlib.import_module(f"{generated}.models")
    client = importlib.import_module(generated).Client(base_url=cluster.url())
    new = {
        "name": "generated",
        "runtime": "python",
        "handler": "main.handler",
        "code": base64.b64encode(_SOURCE).decode(),
    }
    made = call("functions.create_function", body=models.NewFunction.from_dict(new))
    assert made.status_code == HTTPStatus.CREATED, made
    try:
        asked = models.NewInvocation.from_dict({"function_id": f"{made.parsed.id}", "payload": {"name": "Ada"}})
        ended = call("invocations.invoke", body=asked, prefer="wait=60")
        assert ended.status_code == HTTPStatus.OK, ended
        record = call("invocations.get_invocation", id=f"{ended.parsed.id}").parsed
        assert (record.status, record.result) == ("succeeded", {"message": "Hello, Ada"})
        assert call("invocations.get_logs", id=f"{record.id}").parsed == "greeting Ada\n"
        listed = call("invocations.list_invocations", function_id="generated").parsed
        assert [str(item.id) for item in listed.items] == [str(record.id)]

        missing = call("functions.get_function", ref="nobody")
        assert (missing.status_code, missing.parsed.status) == (HTTPStatus.NOT_FOUND, 404)
        refused = call(
            "functions.update_function", ref="generated", body=models.FunctionChanges.from_dict({"memory_mb": 1})
        )
        assert refused.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
        assert "memory_mb" in refused.parsed.errors.to_dict()
    finally:
        gone = call("functions.delete_function", ref="generated")
        client.get_httpx_client().close()
    assert gone.status_code == HTTPStatus.NO_CONTENT
