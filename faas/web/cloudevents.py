"""CloudEvents 1.0 in requests: the HTTP protocol binding's binary and structured modes, read into one form.

The rules are those of the specification (cloudevents/spec, v1.0.2: `spec.md`, `bindings/http-protocol-binding.md`, `formats/json-format.md`).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from faas.errors import Invalid, UnsupportedMedia
from faas.web import strict_json
from faas.web.event_text import as_text

STRUCTURED = "application/cloudevents+json"
_BATCH = "application/cloudevents-batch+json"
_REQUIRED = ("specversion", "id", "source", "type")
_OPTIONAL = ("subject", "time", "datacontenttype", "dataschema")
_NAME = re.compile(r"[a-z0-9]{1,50}")
_URI_REFERENCE = re.compile(r"[!-~]+")
_ABSOLUTE_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]*")
_MEDIA_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+\s*(?:;.*)?")
_JSON_TYPE = re.compile(r"[^;]*[/+]json\s*(?:;.*)?", re.IGNORECASE)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)")


def read(headers: Mapping[str, str], body: bytes) -> dict[str, Any] | None:
    """The CloudEvent of a request: its attributes, and `data` (or `data_base64` where it is neither JSON nor text). None where it is no CloudEvent.

    Args:
        headers: with names in lower case.

    Raises:
        BadRequest: the JSON is none.
        Invalid: an attribute is missing or wrong; it is named as the caller wrote it (`ce-id`, or `id`).
        UnsupportedMedia: a batch of events, or another format.
    """
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == STRUCTURED:
        return _structured(strict_json.parse(body))
    if media_type == _BATCH or media_type.startswith("application/cloudevents"):
        raise UnsupportedMedia(f"One event is taken at a time, in binary mode or as {STRUCTURED}.")
    if any(f"ce-{name}" in headers for name in _REQUIRED):
        return _binary(headers, body)
    return None


def _structured(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Invalid({"body": ["Must be an object."]})
    if "data" in value and "data_base64" in value:
        raise Invalid({"data_base64": ["Must not be given together with `data`."]})
    # The format takes an attribute that is null for one that is not there.
    found = {name: item for name, item in value.items() if item is not None or name == "data"}
    attributes = {name: item for name, item in found.items() if name not in ("data", "data_base64")}
    _check(attributes, "")
    if "data_base64" in found:
        try:
            base64.b64decode(found["data_base64"].encode("ascii"), validate=True)
        except (AttributeError, UnicodeEncodeError, binascii.Error):
            raise Invalid({"data_base64": ["Must be base64."]}) from None
    return found


def _binary(headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        # The binding has percent-encoding for what a header can't hold.
        name.removeprefix("ce-"): unquote(value, errors="replace")
        for name, value in headers.items()
        if name.startswith("ce-")
    }
    if "datacontenttype" in attributes:
        raise Invalid({"ce-datacontenttype": ["Is the header Content-Type in binary mode."]})
    content_type = headers.get("content-type")
    if content_type:
        attributes["datacontenttype"] = content_type
    _check(attributes, "ce-")
    return attributes | _data(content_type, body)


def _data(content_type: str | None, body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    if content_type is not None and _JSON_TYPE.fullmatch(content_type):
        return {"data": strict_json.parse(body)}
    text, is_base64 = as_text(body)
    return {"data_base64" if is_base64 else "data": text}


def _check(attributes: Mapping[str, Any], prefix: str) -> None:
    wrong = {f"{prefix}{name}": ["Missing attribute."] for name in _REQUIRED if name not in attributes}
    for name, value in attributes.items():
        if why := _why_wrong(name, value):
            wrong[f"{prefix}{name}"[:60]] = [why]
    if wrong:
        raise Invalid(wrong)


def _why_wrong(name: str, value: Any) -> str:
    """What is wrong with an attribute; nothing is said of one that is right."""
    if name not in _REQUIRED and name not in _OPTIONAL:
        if not _NAME.fullmatch(name):
            return "Names of attributes are lower-case letters and digits."
        return "" if isinstance(value, str | bool | int) else "Must be text, an integer, true or false."
    if not isinstance(value, str) or not value:
        return "Must be text that is not empty."
    if any(ord(character) < 32 or 127 <= ord(character) < 160 for character in value):
        return "Must not hold control characters."
    return _why_no_standard(name, value)


def _why_no_standard(name: str, value: str) -> str:
    if name == "specversion" and value != "1.0":
        return "Must be 1.0."
    if name == "source" and not _URI_REFERENCE.fullmatch(value):
        return "Must be a URI reference."
    if name == "dataschema" and not _ABSOLUTE_URI.fullmatch(value):
        return "Must be an absolute URI."
    if name == "datacontenttype" and not _MEDIA_TYPE.fullmatch(value):
        return "Must be a media type."
    return "Must be a time in RFC 3339." if name == "time" and not _is_time(value) else ""


def _is_time(value: str) -> bool:
    if not _TIME.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value.upper())
    except ValueError:
        return False
    return True
