"""How a function is reached by plain HTTP (`/fn/{name}`): who may call it, and what browsers are told of other origins. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

ANY = "*"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# RFC 9110, section 5.6.2: names of methods and of headers.
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# RFC 6454, section 6.2, of the schemes that browsers send from.
ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Cors:
    """What pages of other origins may do (WHATWG Fetch, "CORS protocol").

    Attributes:
        allow_origins, allow_methods, allow_headers: `*` in one allows all.
        max_age_ms: how long a browser may keep the answer to a preflight.
        allow_credentials: whether cookies and keys may come along; never together with all origins.
    """

    allow_origins: tuple[str, ...]
    allow_methods: tuple[str, ...] = (ANY,)
    allow_headers: tuple[str, ...] = (ANY,)
    max_age_ms: int = 600_000
    allow_credentials: bool = False

    def allows(self, origin: str) -> bool:
        """Whether pages of an origin may read answers. Origins are compared as browsers send them: in lower case."""
        return ANY in self.allow_origins or origin in self.allow_origins


@dataclass(frozen=True, slots=True)
class Http:
    """A function's settings for the HTTP trigger. `public`: it takes calls without a key."""

    public: bool = False
    cors: Cors | None = None


def to_json(http: Http) -> dict[str, Any]:
    """The settings as they are stored."""
    if http.cors is None:
        return {"public": http.public}
    return {
        "public": http.public,
        "cors": {
            "allow_origins": list(http.cors.allow_origins),
            "allow_methods": list(http.cors.allow_methods),
            "allow_headers": list(http.cors.allow_headers),
            "max_age_ms": http.cors.max_age_ms,
            "allow_credentials": http.cors.allow_credentials,
        },
    }


def from_json(stored: dict[str, Any]) -> Http:
    """The settings of what `to_json` made; of an empty object, those of a function that says nothing."""
    cors: dict[str, Any] | None = stored.get("cors")
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in (cors or {}).items()
    }
    return Http(public=stored.get("public", False), cors=Cors(**given) if cors else None)
