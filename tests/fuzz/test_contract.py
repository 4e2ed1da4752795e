"""What `/openapi.json` promises, held against a running server by schemathesis: no 5xx, and no answer that the document does not have."""

from __future__ import annotations

import os

import hypothesis
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import positive_data_acceptance

from faas.web.openapi import document

# A shape for CI that is the same in each run; `make fuzz` asks for more, and new ones each time.
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
PATIENCE = 60.0

_CONFIG = {
    "checks": {
        # The document can't tell every rule (a secret that must be there, a cursor that a list gave): a well-formed request may be a 422.
        "positive_data_acceptance": {
            "expected-statuses": ["2xx", "3xx", "401", "403", "404", "409", "413", "422", "429"]
        },
        # `/invocations/replay` has the form of `/invocations/{id}` too, so its `Allow` has more than its own methods.
        "allow_header_conformance": {"enabled": False},
    }
}
_schema = schemathesis.openapi.from_dict(document(), config=SchemathesisConfig.from_dict(_CONFIG))


@_schema.parametrize()
@hypothesis.settings(
    max_examples=EXAMPLES or 12,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_server_holds_its_document(case, api):
    if case.path.startswith("/fn/"):
        # No worker runs: the answer of a function would be waited for until the end.
        case.headers["Prefer"] = "respond-async"
    response = case.call(base_url=api.base_url, session=api, timeout=PATIENCE)
    if case.path == "/health" and response.status_code == 503:
        # No worker runs, which is what it says, in the documented way.
        case.validate_response(response, excluded_checks=[not_a_server_error, positive_data_acceptance])
    else:
        case.validate_response(response)
