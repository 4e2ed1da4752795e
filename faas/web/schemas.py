"""What the bodies of requests may hold. The OpenAPI document is made from the same schemas (`faas.web.openapi`)."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates, validates_schema

from faas.domain import function as rules
from faas.domain.access import Scope
from faas.domain.function import Network, Retry, Runtime, Spec
from faas.domain.ids import is_id
from faas.domain.invocation import TERMINAL
from faas.domain.namespace import DEFAULT, Quotas
from faas.domain.secret import Secret
from faas.errors import Invalid, NotFound, TooLarge
from faas.services.requests import FunctionChanges, NewBatch, NewFunction, NewInvocation, Replay, ReplayMany
from faas.web.fields import (
    Anything,
    Choice,
    Code,
    Duration,
    Environment,
    Headers,
    Instant,
    Metadata,
    Name,
    Number,
    Secrets,
    SecretValue,
    Text,
    WholeNumber,
    compact,
)
from faas.web.http_schemas import HttpSchema
from faas.web.query import is_reference

RUNTIMES = {**{runtime.value: runtime for runtime in Runtime}, "node": Runtime.NODEJS}
READ_ONLY = frozenset(
    {"id", "revision", "state", "state_reason", "code_digest", "code_size", "created_at", "updated_at"}
)
_DAY_MS = 24 * 60 * 60 * 1000
_MOST_ERRORS = 50
_LONGEST_KEY = 100
BATCH_ITEMS = 1000
FUNCTION_CHARACTERS = 200


class RetrySchema(Schema):
    """How failures and timeouts of the function are tried again."""

    max_attempts = WholeNumber(1, 10, document={"default": 1})
    backoff_ms = Duration(0, _DAY_MS, document={"default": "1s"})
    max_backoff_ms = Duration(0, _DAY_MS, document={"default": "1m"})

    def on_bind_field(self, field_name: str, field_obj: Any) -> None:
        """Durations lose their unit in JSON: they carry their own there."""
        field_obj.data_key = field_name.removesuffix("_ms")

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> Retry:
        """The domain's value."""
        return Retry(**data)


class FunctionSchema(Schema):
    """The fields of a function that its owner sets."""

    name = Name(required=True, document={"description": "Unique.", "example": "hello"})
    version = Text(rules.VERSION_CHARACTERS, document={"description": "A label of the owner's.", "example": "1.0.0"})
    runtime = Choice(
        RUNTIMES, required=True, document={"description": "`node` is taken for `nodejs`.", "example": "python"}
    )
    handler = Text(
        rules.HANDLER_CHARACTERS,
        required=True,
        document={
            "description": "`module.function` for Python and Node.js, the program's name for Go.",
            "example": "main.handler",
        },
    )
    code = Code(
        required=True,
        document={
            "description": "Base64 of one source file, or of a .zip, .tar or .tar.gz archive; at most 50 MiB packed and 250 MiB unpacked.",
            "example": "ZGVmIGhhbmRsZXIoZXZlbnQsIGNvbnRleHQpOgogICAgcmV0dXJuIGV2ZW50Cg==",
        },
    )
    timeout_ms = Duration(
        rules.MIN_TIMEOUT_MS,
        rules.MAX_TIMEOUT_MS,
        document={"default": "30s", "description": "100 ms to 15 min, from the handler's start."},
    )
    memory_mb = WholeNumber(32, 4096, document={"default": 128})
    cpus = Number(0.1, 8, document={"default": 1.0})
    max_concurrency = WholeNumber(
        1, 1000, document={"default": 10, "description": "Never more than this many run at once over all workers."}
    )
    network = Choice({network.value: network for network in Network}, document={"default": "none"})
    retry = fields.Nested(RetrySchema)
    environment = Environment(
        document={"description": "32 KiB in all; reserved names are refused.", "example": {"STAGE": "test"}}
    )
    metadata = Metadata(document={"description": "Any JSON object, 16 KiB.", "example": {"team": "billing"}})
    secrets = Secrets(
        document={
            "description": "A variable's name to the name of the secret (`PUT /secrets/{name}`) whose value it gets.",
            "example": {"DB_PASSWORD": "billing-db"},
        }
    )
    http = fields.Nested(HttpSchema)

    def on_bind_field(self, field_name: str, field_obj: Any) -> None:
        """Durations lose their unit in JSON: they carry their own there."""
        field_obj.data_key = field_name.removesuffix("_ms")

    @validates_schema(skip_on_field_errors=False)
    def check_handler(self, data: dict[str, Any], **_: Any) -> None:
        """The form of a handler depends on the runtime; where a change does not name one, any runtime's form passes here."""
        runtimes = [data["runtime"]] if "runtime" in data else list(Runtime)
        if "handler" in data and not any(rules.is_handler(data["handler"], runtime) for runtime in runtimes):
            raise ValidationError(
                "Must be `module.function` (for Go the program's name), such as `main.handler`.", "handler"
            )


class InvokeSchema(Schema):
    """The body of `POST /invoke`."""

    function_id = Text(
        FUNCTION_CHARACTERS,
        required=True,
        document={"description": "The function's id or its name.", "example": "hello"},
    )
    payload = Anything(
        document={"description": "Any JSON, at most 6 MiB; null when left out.", "example": {"name": "FaaS"}}
    )
    headers = Headers(document={"description": "Text for the function's context.", "example": {"X-Trace": "t-1"}})
    timeout_ms = Duration(
        rules.MIN_TIMEOUT_MS,
        rules.MAX_TIMEOUT_MS,
        document={"description": "May only shorten the function's own.", "example": "5s"},
    )
    delay_ms = Duration(0, 30 * _DAY_MS, document={"description": "Run it so long from now.", "example": "10m"})
    run_at = Instant(
        timedelta(days=30),
        document={"description": "Run it at this time, which may be 30 days ahead; not together with `delay`."},
    )
    expires_in_ms = Duration(
        1,
        60 * _DAY_MS,
        document={
            "description": "An invocation that is not started by then, from now, ends `cancelled` with `Platform.Expired`.",
            "example": "1h",
        },
    )

    def on_bind_field(self, field_name: str, field_obj: Any) -> None:
        """Durations lose their unit in JSON: they carry their own there."""
        field_obj.data_key = field_name.removesuffix("_ms")

    @validates_schema
    def check_times(self, data: dict[str, Any], **_: Any) -> None:
        """One time to run at, and that before it expires."""
        if "delay_ms" in data and "run_at" in data:
            raise ValidationError("Must not be given together with `delay`.", "run_at")
        if data.get("delay_ms", 0) >= data.get("expires_in_ms", math.inf):
            raise ValidationError("Must be longer than `delay`.", "expires_in")


class BatchSchema(Schema):
    """The body of `POST /invoke/batch`."""

    items = fields.List(
        fields.Nested(InvokeSchema),
        required=True,
        validate=validate.Length(1, BATCH_ITEMS),
        metadata={"description": "Invocations of one or several functions: all are accepted, or none."},
    )


class ReplaySchema(Schema):
    """The body of `POST /invocations/replay`."""

    status = Choice(
        {status.value: status for status in TERMINAL},
        required=True,
        document={"description": "Only those that ended so."},
    )
    function_id = Text(
        FUNCTION_CHARACTERS, document={"description": "Only those of the function with this id or name."}
    )
    batch_id = Text(36, document={"format": "uuid", "description": "Only those of a batch."})
    after = Instant(timedelta(days=1), document={"description": "Only those accepted from then on."})
    before = Instant(timedelta(days=1), document={"description": "Only those accepted before then."})
    revision = Choice(
        {"pinned": True, "newest": False},
        document={"default": "pinned", "description": "Their own revisions, or the functions' newest."},
    )
    limit = WholeNumber(1, BATCH_ITEMS, document={"default": BATCH_ITEMS, "description": "The oldest so many."})


class NamespaceSchema(Schema):
    """The body of `POST /namespaces`."""

    name = Name(required=True, document={"description": "Unique.", "example": "team-a"})


class QuotasSchema(Schema):
    """The body of `PUT /namespaces/{namespace}`: what is left out is not bounded."""

    requests_per_minute = WholeNumber(1, 1_000_000, document={"description": "Calls of all its keys together."})
    queued = WholeNumber(
        1, 10_000_000, document={"description": "Invocations that wait for a place of their function, about."}
    )
    concurrent = WholeNumber(1, 1_000_000, document={"description": "`max_concurrency` of all its functions together."})
    code_mb = WholeNumber(1, 1_000_000, document={"description": "Packed code of all its functions together, in MiB."})
    cpu_seconds_per_day = WholeNumber(
        1, 1_000_000_000, document={"description": "`cpus` times the running time of what has ended today (UTC)."}
    )


class KeySchema(Schema):
    """The body of `POST /keys`."""

    name = Text(
        100, required=True, document={"minLength": 1, "description": "Whose it is, or what for.", "example": "billing"}
    )
    scopes = fields.List(
        Choice({scope.value: scope for scope in Scope}),
        required=True,
        validate=validate.Length(1, 20),
        metadata={"description": "What it is good for; `admin` for everything.", "example": ["invoke"]},
    )
    expires_in_ms = Duration(
        60_000,
        3650 * _DAY_MS,
        document={"description": "It is good for so long; for ever when left out.", "example": "720h"},
    )

    namespace = Name(document={"description": "Where it is good; the caller's own when left out.", "example": "team-a"})
    requests_per_minute = WholeNumber(
        1, 1_000_000, document={"description": "How often it may call; as often as it likes when left out."}
    )

    def on_bind_field(self, field_name: str, field_obj: Any) -> None:
        """Durations lose their unit in JSON: they carry their own there."""
        field_obj.data_key = field_name.removesuffix("_ms")

    @validates("name")
    def check_name(self, value: str, **_: Any) -> None:
        """A name that can be read."""
        if not value.strip() or not value.isprintable():
            raise ValidationError("Must be printable text.")


class SecretSchema(Schema):
    """The body of `PUT /secrets/{name}`."""

    value = SecretValue(required=True, document={"description": "Text of at most 64 KiB. It is never shown again."})


FUNCTION = FunctionSchema()
# Named one by one: `True` would let go of what the objects in it need, too.
CHANGES = FunctionSchema(partial=tuple(FunctionSchema().fields))
INVOKE = InvokeSchema()
BATCH = BatchSchema()
REPLAY = ReplaySchema()
SECRET = SecretSchema()
KEY = KeySchema()
NAMESPACE = NamespaceSchema()
QUOTAS = QuotasSchema()


def new_function(body: Any) -> NewFunction:
    """What `POST /functions` asks for.

    Raises:
        Invalid: the fields that are wrong.
        TooLarge: the code is.
    """
    data = _load(FUNCTION, body)
    name, code = data.pop("name"), data.pop("code")
    return NewFunction(name, Spec(**data), code)


def function_changes(body: Any) -> FunctionChanges:
    """What `PUT /functions/{ref}` asks for. Raises like `new_function`."""
    return FunctionChanges(_load(CHANGES, body))


def secret_value(body: Any) -> Secret:
    """What `PUT /secrets/{name}` gives. Raises like `new_function`."""
    value: Secret = _load(SECRET, body)["value"]
    return value


def new_invocation(body: Any, idempotency_key: str | None, namespace: str = DEFAULT) -> NewInvocation:
    """What `POST /invoke` asks for.

    Args:
        namespace: whose function it is.

    Raises:
        Invalid: the fields that are wrong.
        NotFound: no function can have such a reference.
        TooLarge: the payload is.
    """
    return _invocation(_plain(body) or _load(INVOKE, body), idempotency_key, body, namespace)


def new_batch(body: Any, idempotency_key: str | None) -> NewBatch:
    """What `POST /invoke/batch` asks for. Raises like `new_invocation`."""
    if isinstance(body, dict) and isinstance(items := body.get("items"), list) and len(items) > BATCH_ITEMS:
        # Looked at before each of millions is.
        raise Invalid({"items": [f"Must be at most {BATCH_ITEMS}."]})
    items = [_invocation(data, None, None) for data in _load(BATCH, body)["items"]]
    return NewBatch(items, idempotency_key, _fingerprint(body) if idempotency_key is not None else b"")


def replay_many(body: Any) -> ReplayMany:
    """What `POST /invocations/replay` asks for. Raises Invalid."""
    data = _load(REPLAY, body)
    if "batch_id" in data and not is_id(data["batch_id"]):
        raise Invalid({"batch_id": ["Must be an id."]})
    if "function_id" in data and not is_reference(data["function_id"]):
        raise NotFound("There is no such function.")
    names = {"function_id": "function", "revision": "pinned"}
    return ReplayMany(**{names.get(name, name): value for name, value in data.items()})


def replay(invocation_id: str, *, pinned: bool, idempotency_key: str | None) -> Replay:
    """What `POST /invocations/{id}/replay` asks for."""
    asked = {"replay": invocation_id, "pinned": pinned}
    return Replay(invocation_id, pinned, idempotency_key, _fingerprint(asked) if idempotency_key is not None else b"")


def new_key(body: Any) -> dict[str, Any]:
    """What `POST /keys` asks for, as `Access.create` takes it. Raises Invalid."""
    data = _load(KEY, body)
    expires_ms = data.get("expires_in_ms")
    return {
        "name": data["name"],
        "scopes": data["scopes"],
        "expires_s": expires_ms and round(expires_ms / 1000),
        "requests_per_minute": data.get("requests_per_minute"),
        "namespace": data.get("namespace"),
    }


def new_namespace(body: Any) -> str:
    """The name of what `POST /namespaces` asks for. Raises Invalid."""
    name: str = _load(NAMESPACE, body)["name"]
    return name


def quotas(body: Any) -> Quotas:
    """What `PUT /namespaces/{namespace}` asks for. Raises Invalid."""
    return Quotas(**_load(QUOTAS, body))


def _plain(body: Any) -> dict[str, Any] | None:
    """The fields of a body with no more than most have, at a tenth of the schema's cost; None where it is for the schema to say what is wrong."""
    if not isinstance(body, dict) or not body.keys() <= {"function_id", "payload"}:
        return None
    function = body.get("function_id")
    if not isinstance(function, str) or len(function) > FUNCTION_CHARACTERS:
        return None
    return {"function_id": function, "payload": body.get("payload")}


def _invocation(
    data: dict[str, Any], idempotency_key: str | None, body: Any, namespace: str = DEFAULT
) -> NewInvocation:
    if not is_reference(data["function_id"]):
        raise NotFound("There is no such function.")
    return NewInvocation(
        function=data["function_id"],
        payload=_payload(data["payload"]),
        headers=data.get("headers", {}),
        timeout_ms=data.get("timeout_ms"),
        idempotency_key=idempotency_key,
        fingerprint=_fingerprint(body) if idempotency_key is not None else b"",
        delay_ms=data.get("delay_ms"),
        run_at=data.get("run_at"),
        expires_ms=data.get("expires_in_ms"),
        namespace=namespace,
    )


def _payload(value: Any) -> str:
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    # ASCII is never shorter than UTF-8, so most payloads are written once.
    if len(text) > rules.PAYLOAD_BYTES and len(compact(value).encode()) > rules.PAYLOAD_BYTES:
        raise TooLarge(f"payload: is over {rules.PAYLOAD_BYTES} bytes of JSON.")
    return text


def _fingerprint(body: Any) -> bytes:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).digest()


def _load(schema: Schema, body: Any) -> dict[str, Any]:
    try:
        data: dict[str, Any] = schema.load(body)
    except ValidationError as error:
        raise Invalid(dict(_flat(error.messages_dict, ""))) from None
    return data


def _flat(messages: Mapping[Any, Any], path: str) -> Iterator[tuple[str, list[str]]]:
    """Marshmallow's nested messages with dotted names. Names come from the caller: they are cut, and so is their number."""
    for key, found in list(messages.items())[:_MOST_ERRORS]:
        name = path if key == "_schema" else f"{path}.{key}" if path else str(key)
        if isinstance(found, Mapping):
            yield from _flat(found, name)
        elif name in READ_ONLY and not path:
            yield name, ["This field is read-only."]
        else:
            yield name[:_LONGEST_KEY] or "body", [str(message) for message in found]
