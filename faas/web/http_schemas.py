"""The field `http` of a function: who may call it at `/fn/{name}`, and its CORS settings."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema

from faas.domain.http import ANY, ORIGIN, TOKEN, Cors, Http
from faas.web.fields import Duration, Flag, Text

_DAY_MS = 24 * 60 * 60 * 1000
_MOST = 50


def _texts(description: str, **more: Any) -> fields.List[Any]:
    document = {"description": description, **more.pop("document", {})}
    return fields.List(Text(300), validate=validate.Length(1, _MOST), metadata=document, **more)


class CorsSchema(Schema):
    """What pages of other origins may do at `/fn/{name}`; preflights are answered by the platform."""

    allow_origins = _texts(
        "Origins (`https://app.example`), or `*` for all.",
        required=True,
        document={"example": ["https://app.example"]},
    )
    allow_methods = _texts("Methods, or `*` for all.", document={"default": [ANY]})
    allow_headers = _texts("Names of headers, or `*` for all.", document={"default": [ANY]})
    max_age_ms = Duration(
        0, _DAY_MS, document={"default": "10m", "description": "How long a browser may keep the answer to a preflight."}
    )
    allow_credentials = Flag(document={"default": False, "description": "Not together with the origin `*`."})

    def on_bind_field(self, field_name: str, field_obj: Any) -> None:
        """Durations lose their unit in JSON: they carry their own there."""
        field_obj.data_key = field_name.removesuffix("_ms")

    @validates_schema
    def check(self, data: dict[str, Any], **_: Any) -> None:
        """Origins and names as they are in headers."""
        if not all(origin == ANY or ORIGIN.fullmatch(origin) for origin in data["allow_origins"]):
            raise ValidationError("Must be `*` or origins such as `https://app.example`.", "allow_origins")
        for field in ("allow_methods", "allow_headers"):
            if not all(TOKEN.fullmatch(name) for name in data.get(field, ())):
                raise ValidationError("Must be `*` or names.", field)
        if data.get("allow_credentials") and ANY in data["allow_origins"]:
            raise ValidationError("Must not be together with the origin `*`.", "allow_credentials")

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> Cors:
        """The domain's value: origins in lower case, methods in upper case, as browsers send them."""
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        given["allow_origins"] = tuple(origin.lower() for origin in given["allow_origins"])
        if "allow_methods" in given:
            given["allow_methods"] = tuple(name.upper() for name in given["allow_methods"])
        return Cors(**given)


class HttpSchema(Schema):
    """How the function is reached at `/fn/{name}`."""

    public = Flag(document={"default": False, "description": "It takes calls without a key."})
    cors = fields.Nested(CorsSchema, allow_none=True)

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> Http:
        """The domain's value."""
        return Http(**data)
