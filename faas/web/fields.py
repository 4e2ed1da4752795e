"""Fields that take exactly what API.md says: nothing is converted, `"5"` is no number and `true` is no integer.

Each carries its own lines of the OpenAPI document in `metadata`, so what validates and what is documented can't part.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from marshmallow import ValidationError, fields

from faas.domain import function as rules
from faas.domain.duration import format_duration, parse_duration
from faas.domain.ids import looks_like_id
from faas.domain.secret import MOST_BINDINGS, VALUE_BYTES, Secret
from faas.errors import TooLarge

# RFC 3339, section 5.6. Python takes more than this.
_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)
HEADERS_BYTES = 64 * rules.KIB


class _Field(fields.Field[Any]):
    """A field whose OpenAPI lines are given as keywords of `document`."""

    document: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, *, required: bool = False, document: Mapping[str, Any] | None = None) -> None:
        super().__init__(required=required, metadata={**self.document, **(document or {})})

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        return self.read(value)

    def read(self, value: Any) -> Any:
        """The value as the services take it.

        Raises:
            ValidationError: it is not what the field takes.
        """
        raise NotImplementedError


class Text(_Field):
    """Text of a bounded number of characters."""

    def __init__(self, most: int, **kwargs: Any) -> None:
        self.most = most
        kwargs["document"] = {"type": "string", "maxLength": most, **kwargs.get("document", {})}
        super().__init__(**kwargs)

    def read(self, value: Any) -> Any:
        text = _text(value)
        if len(text) > self.most:
            raise ValidationError(f"Must be at most {self.most} characters.")
        return text


class Name(_Field):
    """A function's name."""

    document: ClassVar[Mapping[str, Any]] = {"type": "string", "pattern": f"^{rules.NAME.pattern}$"}

    def read(self, value: Any) -> Any:
        text = _text(value)
        if not rules.NAME.fullmatch(text):
            raise ValidationError("Must be 1 to 64 letters, digits, '_' and '-', the first a letter or digit.")
        if looks_like_id(text):
            raise ValidationError("Must not have the shape of a UUID.")
        return text


class Choice(_Field):
    """One of a few words.

    Args:
        choices: the accepted words to what they mean.
    """

    def __init__(self, choices: Mapping[str, Any], **kwargs: Any) -> None:
        self.choices = choices
        kwargs["document"] = {"type": "string", "enum": list(choices), **kwargs.get("document", {})}
        super().__init__(**kwargs)

    def read(self, value: Any) -> Any:
        text = _text(value)
        if text not in self.choices:
            raise ValidationError(f"Must be one of {_words(self.choices)}.")
        return self.choices[text]


class Flag(_Field):
    """`true` or `false`."""

    document: ClassVar[Mapping[str, Any]] = {"type": "boolean"}

    def read(self, value: Any) -> Any:
        if not isinstance(value, bool):
            raise ValidationError("Must be true or false.")
        return value


class WholeNumber(_Field):
    """An integer within bounds, both included."""

    def __init__(self, least: int, most: int, **kwargs: Any) -> None:
        self.least, self.most = least, most
        kwargs["document"] = {"type": "integer", "minimum": least, "maximum": most, **kwargs.get("document", {})}
        super().__init__(**kwargs)

    def read(self, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValidationError("Must be an integer.")
        if not self.least <= value <= self.most:
            raise ValidationError(f"Must be from {self.least} to {self.most}.")
        return value


class Number(_Field):
    """A number within bounds, both included."""

    def __init__(self, least: float, most: float, **kwargs: Any) -> None:
        self.least, self.most = least, most
        kwargs["document"] = {"type": "number", "minimum": least, "maximum": most, **kwargs.get("document", {})}
        super().__init__(**kwargs)

    def read(self, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValidationError("Must be a number.")
        if not self.least <= value <= self.most:
            raise ValidationError(f"Must be from {self.least:g} to {self.most:g}.")
        return float(value)


class Duration(_Field):
    """A duration, in Go's notation or as a number of seconds; becomes milliseconds.

    Args:
        least, most: bounds in milliseconds, both included.
    """

    document: ClassVar[Mapping[str, Any]] = {"type": ["string", "number"]}

    def __init__(self, least: int, most: int, **kwargs: Any) -> None:
        self.least, self.most = least, most
        super().__init__(**kwargs)

    def read(self, value: Any) -> Any:
        try:
            milliseconds = parse_duration(value)
        except (ValueError, OverflowError) as error:
            message = "Must be finite." if isinstance(error, OverflowError) else str(error)
            raise ValidationError(message) from None
        if not self.least <= milliseconds <= self.most:
            raise ValidationError(f"Must be from {format_duration(self.least)} to {format_duration(self.most)}.")
        return milliseconds


class Instant(_Field):
    """A time in RFC 3339; becomes a `datetime` in UTC.

    Args:
        ahead: how far from now it may be at most.
    """

    document: ClassVar[Mapping[str, Any]] = {"type": "string", "format": "date-time"}

    def __init__(self, ahead: timedelta, **kwargs: Any) -> None:
        self.ahead = ahead
        super().__init__(**kwargs)

    def read(self, value: Any) -> Any:
        text = _text(value)
        try:
            if not _RFC_3339.fullmatch(text):
                raise ValueError
            moment = datetime.fromisoformat(text.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            raise ValidationError('Must be a time with its offset, such as "2026-01-02T03:04:05Z".') from None
        if moment > datetime.now(UTC) + self.ahead:
            raise ValidationError(f"Must be at most {self.ahead.days} days ahead.")
        return moment


class Code(_Field):
    """A code package in base64 (RFC 4648, section 4, with padding and without line breaks); becomes bytes."""

    document: ClassVar[Mapping[str, Any]] = {"type": "string", "format": "byte", "writeOnly": True}

    def read(self, value: Any) -> Any:
        text = _text(value)
        # Looked at before decoding, so that an oversized one costs no second copy.
        if len(text) > -(-rules.PACKED_BYTES // 3) * 4:
            raise TooLarge(f"code: is over {rules.PACKED_BYTES} bytes decoded.")
        try:
            code = base64.b64decode(text.encode("ascii"), validate=True)
        except (UnicodeEncodeError, binascii.Error):
            raise ValidationError("Must be base64 with padding and without line breaks.") from None
        if not code:
            raise ValidationError("Must not be empty.")
        if len(code) > rules.PACKED_BYTES:
            raise TooLarge(f"code: is over {rules.PACKED_BYTES} bytes decoded.")
        return code


class Environment(_Field):
    """Variables of a function's environment."""

    document: ClassVar[Mapping[str, Any]] = {"type": "object", "additionalProperties": {"type": "string"}}

    def read(self, value: Any) -> Any:
        pairs = _texts(value)
        wrong = {name: [why] for name in pairs if (why := _why_no_variable(name))}
        if wrong:
            raise ValidationError(wrong)
        if _bytes_of(pairs) > rules.ENVIRONMENT_BYTES:
            raise ValidationError(f"Must be at most {rules.ENVIRONMENT_BYTES} bytes in all.")
        return pairs


class Secrets(_Field):
    """Variables of a function's environment to the secrets whose values they get."""

    document: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": {"type": "string", "pattern": f"^{rules.NAME.pattern}$"},
        "maxProperties": MOST_BINDINGS,
    }

    def read(self, value: Any) -> Any:
        pairs = _texts(value)
        if len(pairs) > MOST_BINDINGS:
            raise ValidationError(f"Must be at most {MOST_BINDINGS}.")
        wrong = {
            variable: [why]
            for variable, name in pairs.items()
            if (why := _why_no_variable(variable) or ("" if rules.NAME.fullmatch(name) else "Is no name of a secret."))
        }
        if wrong:
            raise ValidationError(wrong)
        return pairs


class SecretValue(_Field):
    """A secret's value; nothing of it is in any message."""

    document: ClassVar[Mapping[str, Any]] = {"type": "string", "minLength": 1, "writeOnly": True}

    def read(self, value: Any) -> Any:
        text = _text(value)
        if not text:
            raise ValidationError("Must not be empty.")
        if len(text.encode()) > VALUE_BYTES:
            raise TooLarge(f"value: is over {VALUE_BYTES} bytes.")
        return Secret(text)


class Headers(_Field):
    """Text to text, for the function's context."""

    document: ClassVar[Mapping[str, Any]] = {"type": "object", "additionalProperties": {"type": "string"}}

    def read(self, value: Any) -> Any:
        pairs = _texts(value)
        if _bytes_of(pairs) > HEADERS_BYTES:
            raise ValidationError(f"Must be at most {HEADERS_BYTES} bytes in all.")
        return pairs


class Metadata(_Field):
    """Any JSON object of a bounded size."""

    document: ClassVar[Mapping[str, Any]] = {"type": "object", "additionalProperties": True}

    def read(self, value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValidationError("Must be an object.")
        if len(compact(value).encode()) > rules.METADATA_BYTES:
            raise ValidationError(f"Must be at most {rules.METADATA_BYTES} bytes of JSON.")
        return value


class Anything(fields.Raw):
    """Any JSON value, null too."""

    def __init__(self, *, document: Mapping[str, Any]) -> None:
        super().__init__(allow_none=True, load_default=None, metadata=document)


def compact(value: Any) -> str:
    """The shortest JSON text of a value, with characters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValidationError("Must be text.")
    return value


def _texts(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValidationError("Must be an object.")
    wrong = {name: ["Must be text."] for name, item in value.items() if not isinstance(item, str)}
    if wrong:
        raise ValidationError(wrong)
    return value


def _bytes_of(pairs: Mapping[str, str]) -> int:
    return sum(len(name.encode()) + len(text.encode()) for name, text in pairs.items())


def _why_no_variable(name: str) -> str | None:
    if not rules.ENVIRONMENT_NAME.fullmatch(name):
        return "Must be a name of letters, digits and '_' that begins with no digit."
    return "This name is reserved." if rules.is_reserved(name) else None


def _words(choices: Iterable[str]) -> str:
    return ", ".join(f"'{choice}'" for choice in choices)
