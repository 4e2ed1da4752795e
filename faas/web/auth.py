"""Who may call what: the key of a request, and the scope that each endpoint asks for.

An endpoint that is not named here takes the scope `admin`: a new one is closed until somebody thinks about it.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, g, request

from faas.domain.access import Caller, Scope
from faas.domain.ids import is_id
from faas.domain.namespace import DEFAULT
from faas.errors import Forbidden, RateLimited, Unauthorized
from faas.queueing.rates import Rate
from faas.services import Services
from faas.web.context import services

# What tells nothing that is worth a key: whether the platform works, how it is spoken to, how its pages look.
_OPEN = frozenset({"health.health", "health.live", "documents.openapi_json", "documents.docs", "static"})
# Asks for its scope itself (`require`), unless the function that is called is public.
_ASKS_ITSELF = frozenset({"trigger.call"})
_SCOPES = {
    "functions.create": Scope.FUNCTIONS_WRITE,
    "functions.update": Scope.FUNCTIONS_WRITE,
    "functions.delete": Scope.FUNCTIONS_WRITE,
    "functions.list_": Scope.FUNCTIONS_READ,
    "functions.read": Scope.FUNCTIONS_READ,
    "secrets.put": Scope.FUNCTIONS_WRITE,
    "secrets.delete": Scope.FUNCTIONS_WRITE,
    "secrets.list_": Scope.FUNCTIONS_READ,
    "invocations.invoke": Scope.INVOKE,
    "invocations.cancel": Scope.INVOKE,
    "trigger.call": Scope.INVOKE,
    "batches.invoke": Scope.INVOKE,
    "replays.replay": Scope.INVOKE,
    "replays.replay_many": Scope.INVOKE,
    "invocations.read": Scope.INVOCATIONS_READ,
    "invocations.list_": Scope.INVOCATIONS_READ,
    "invocations.logs": Scope.INVOCATIONS_READ,
    "history.events": Scope.INVOCATIONS_READ,
    "function_logs.logs": Scope.INVOCATIONS_READ,
    "metrics.scrape": Scope.INVOCATIONS_READ,
    "stats.read": Scope.INVOCATIONS_READ,
    "documents.dashboard": Scope.INVOCATIONS_READ,
    "documents.function_page": Scope.INVOCATIONS_READ,
}
# A browser can't be told to send a bearer's key, but asks for a password by itself.
_PAGES = frozenset({"documents.dashboard", "documents.function_page"})
# About all namespaces together: for keys of `default` alone.
_PLATFORM = frozenset({"namespaces.create", "namespaces.list_", "namespaces.update", "metrics.scrape"})
# Who may do these changes what is kept. Invocations are records themselves.
_AUDITED = frozenset({Scope.FUNCTIONS_WRITE, Scope.ADMIN})
# Prometheus is to hear that PostgreSQL is away: a key that was good a while ago is good enough for that.
_LATE_S = 600.0
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


def install(app: Flask) -> None:
    """Guard every endpoint of an application."""
    app.before_request(_guard)
    app.after_request(_record)
    app.after_request(_tell_rate)


def scope_of(endpoint: str) -> Scope | None:
    """The scope that an endpoint asks for; None where it is for everybody."""
    return None if endpoint in _OPEN else _SCOPES.get(endpoint, Scope.ADMIN)


def caller() -> Caller:
    """Who makes the request at hand."""
    found: Caller = g.caller
    return found


def namespace() -> str:
    """Where a request looks that may come without a key: where its key belongs; `default` where it has none that is good."""
    try:
        return services().access.caller(_key(request.endpoint or "")).namespace
    except Unauthorized:
        return DEFAULT


def _guard() -> None:
    endpoint = request.endpoint
    # Nothing is there: that is said to everybody.
    if endpoint is not None and endpoint not in _ASKS_ITSELF and (scope := scope_of(endpoint)) is not None:
        _require(endpoint, scope)
        _require_own(endpoint)


def _require_own(endpoint: str) -> None:
    """Another namespace's invocations are not there. Functions, keys and secrets are looked up in the caller's. Raises NotFound."""
    id_ = (request.view_args or {}).get("id_")
    if id_ is None or endpoint == "keys.revoke" or not is_id(id_):
        return
    # The plain read has the record at hand, and looks itself: whoever polls costs no query more.
    if endpoint != "invocations.read" or "wait" in request.args:
        services().namespaces.require_invocation(g.caller.namespace, id_)


def require(scope: Scope) -> None:
    """Ask for a key with a scope in the middle of a request, where its endpoint alone does not tell whether one is needed.

    Raises:
        Unauthorized, Forbidden, RateLimited: as for every other endpoint.
    """
    _require(request.endpoint or "", scope)


def _require(endpoint: str, scope: Scope) -> None:
    admit(g, services(), endpoint, scope, _key(endpoint))


def admit(state: Any, services: Services, endpoint: str, scope: Scope, key: str | None) -> None:
    """Find out who calls, count the call, and ask for a scope.

    Args:
        state: what is known of the request at hand (Flask's `g`); gets `caller`, and `rate` where one is bounded.
        key: see `bearer`.

    Raises:
        Unauthorized, Forbidden, RateLimited: the call may not be made.
    """
    try:
        late_s = _LATE_S if endpoint == "metrics.scrape" else 0.0
        state.caller = caller = services.access.caller(key, late_s=late_s)
    except Unauthorized:
        state.challenge = 'Basic realm="faas", charset="UTF-8"' if endpoint in _PAGES else "Bearer"
        raise
    _count(state, services, caller)
    if not caller.may(scope):
        raise Forbidden(f"The key lacks the scope {scope.value}.")
    if endpoint in _PLATFORM and caller.bound is not None:
        raise Forbidden(f"That is about the whole platform: for keys of the namespace {DEFAULT!r}.")


def _count(state: Any, services: Services, who: Caller) -> None:
    """Count a call against the limits of its key and of its namespace. Raises RateLimited."""
    if who.key_id is not None and who.requests_per_minute is not None:
        _weigh(state, services.rates.hit(who.key_id, who.requests_per_minute), "key")
    _weigh(state, services.quotas.count_request(who.namespace), "namespace")


def _weigh(state: Any, rate: Rate | None, whose: str) -> None:
    if rate is None:
        return
    # The answer tells of the one that is used up first.
    if "rate" not in state or rate.remaining < state.rate.remaining:
        state.rate = rate
    if not rate.allowed:
        raise RateLimited(
            f"The {whose} may make {rate.limit} calls a minute. Try again in {rate.reset_s} s.", rate.reset_s
        )


def _key(endpoint: str) -> str | None:
    """The key that was sent: as `bearer`, or as the password of a page."""
    given = request.headers.get("Authorization")
    if endpoint in _PAGES and request.authorization is not None and request.authorization.type == "basic":
        return request.authorization.password or ""
    return bearer(given)


def bearer(given: str | None) -> str | None:
    """The key of an `Authorization`; text that is no key where something else was sent, None where nothing was.

    A key in the URL is not looked at: URLs are logged.
    """
    if given is None:
        return None
    kind, _, value = given.partition(" ")
    return value.strip() if kind.lower() == "bearer" else ""


def _record(response: Response) -> Response:
    """An entry of the audit log for each change: who, what, from where."""
    endpoint = request.endpoint
    if endpoint is None or request.method in _READS or response.status_code >= 300:
        return response
    if scope_of(endpoint) in _AUDITED:
        changed = g.get("changed") or next(iter((request.view_args or {}).values()), None)
        services().audit.add(caller(), endpoint, changed, request.remote_addr, g.request_id)
    return response


def _tell_rate(response: Response) -> Response:
    response.headers.update(rate_headers(g))
    return response


def rate_headers(state: Any) -> dict[str, str]:
    """What is left of the key's calls (draft-ietf-httpapi-ratelimit-headers-06). `state`: as for `admit`."""
    if "rate" not in state:
        return {}
    return {
        "RateLimit-Limit": str(state.rate.limit),
        "RateLimit-Remaining": str(state.rate.remaining),
        "RateLimit-Reset": str(state.rate.reset_s),
    }
