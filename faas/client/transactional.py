"""Invoking inside a transaction of an application that shares the platform's database: it runs if that commits, and there is no trace if not.

    with Session(engine) as session, session.begin():
        session.add(order)
        enqueue(session, "send-receipt", {"order": order.id})

What is queued so waits in the database until the clock gives it a slot, within about a second of the commit.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, event, text
from sqlalchemy.orm import Session, SessionTransaction, scoped_session

from faas.client.errors import ProblemError, problem_of
from faas.db import enqueues
from faas.domain import function as rules
from faas.domain.duration import parse_duration
from faas.domain.ids import is_id, looks_like_id, uuid7
from faas.domain.namespace import DEFAULT

log = logging.getLogger("faas.client")

_DAY_MS = 24 * 60 * 60 * 1000
_DEEPEST = 200
_HEADERS_BYTES = 64 * rules.KIB
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"')
# An escaped NUL, and no backslash that is itself escaped.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
# In `Session.info`: the functions that were enqueued since the last transaction, by the Redis to tell.
_TOLD = "faas.enqueued"


def enqueue(
    session: Session | scoped_session[Any] | Connection,
    function: str,
    payload: Any = None,
    *,
    headers: Mapping[str, str] | None = None,
    timeout: str | float | None = None,
    delay: str | float | None = None,
    run_at: datetime | None = None,
    expires_in: str | float | None = None,
    redis_url: str | None = None,
    namespace: str = DEFAULT,
) -> str:
    """Accept an invocation as a part of the caller's transaction.

    No row that others need is locked: the transaction may take its time. `QUEUE_LIMIT` is not looked at, though what is queued so counts.

    Args:
        session: of SQLAlchemy, or a connection, to the platform's database. It is not committed here.
        function: its id or its name.
        payload: any JSON, at most 6 MiB.
        timeout, delay, expires_in: durations as the API has them: `"1m30s"`, or seconds.
        run_at: with its offset; not together with `delay`.
        redis_url: with it, a session admits and publishes at once after its commit; without it, and for a connection, the clock does within a second.
        namespace: where the function is.

    Returns:
        The invocation's id. It can be looked up when the transaction is committed.

    Raises:
        NotFound: no such function. Conflict: its newest revision did not build. Invalid: a field is wrong; `errors` names it. TooLarge: the payload
        is. (All of `faas.client.errors`; the transaction can go on.)
    """
    times = {
        "timeout_ms": _duration("timeout", timeout, rules.MIN_TIMEOUT_MS, rules.MAX_TIMEOUT_MS),
        "delay_ms": _duration("delay", delay, 0, 30 * _DAY_MS),
        "expires_ms": _duration("expires_in", expires_in, 1, 60 * _DAY_MS),
        "run_at": _moment(run_at),
    }
    if delay is not None and run_at is not None:
        raise _invalid("run_at", "Must not be given together with `delay`.")
    if expires_in is not None and delay is not None and parse_duration(delay) >= parse_duration(expires_in):
        raise _invalid("expires_in", "Must be longer than `delay`.")
    by_id = is_id(function)
    if not by_id and (looks_like_id(function) or not rules.NAME.fullmatch(function)):
        raise _problem(404, "Not Found", f"There is no function {function!r}.")
    invocation_id = uuid7()
    parameters = {
        "id": invocation_id,
        "function_id": function if by_id else None,
        "function_name": None if by_id else function,
        "payload": _payload(payload),
        "headers": _headers(headers or {}),
        "namespace": namespace,
        **times,
    }
    own = session() if isinstance(session, scoped_session) else session
    row = own.execute(text(enqueues.ENQUEUE), parameters).one_or_none()
    if row is None:
        raise _problem(404, "Not Found", f"There is no function {function!r}.")
    if not row.made:
        raise _refused(row.state)
    if redis_url is not None and isinstance(own, Session):
        _tell_after(own, redis_url, row.function_id)
    return invocation_id


def _refused(state: str) -> ProblemError:
    if state == "failed":
        return _problem(409, "Conflict", "The function's revision did not build; its state_reason says why.")
    return _invalid("timeout", "Is longer than the function's own.")


def _tell_after(session: Session, redis_url: str, function_id: str) -> None:
    session.info.setdefault(_TOLD, {}).setdefault(redis_url, set()).add(function_id)
    if not event.contains(session, "after_transaction_end", _tell):
        event.listen(session, "after_transaction_end", _tell)


def _tell(session: Session, transaction: SessionTransaction) -> None:
    """Admit and publish when the outermost transaction is over. After a rollback there is nobody new to admit, which does no harm."""
    told = session.info.pop(_TOLD, None) if transaction.parent is None else None
    for redis_url, functions in (told or {}).items():
        try:
            _publish(session, redis_url, sorted(functions))
        except Exception as error:
            # It is committed: the caller must not take it as failed.
            log.warning("not published, the clock will: %s", error)


def _publish(session: Session, redis_url: str, functions: list[str]) -> None:
    # Only who asks for it needs Redis's client.
    from faas.queueing.publisher import Publisher

    admitted: list[str] = []
    with session.get_bind().engine.connect() as connection:
        for function_id in functions:
            # Each by itself: who admits for two functions at once would hold the first one's slots while he waits for the second's.
            with connection.begin():
                connection.execute(text("SET LOCAL lock_timeout = '2s'"))
                admitted += connection.execute(text(enqueues.ADMIT), {"function_id": function_id}).scalars()
    if not admitted:
        return
    publisher = Publisher(redis_url)
    try:
        publisher.announce(run=admitted)
    finally:
        publisher.close()


def _payload(value: Any) -> str:
    written = _json("payload", value)
    if len(written) > rules.PAYLOAD_BYTES and len(_compact(value).encode()) > rules.PAYLOAD_BYTES:
        raise _problem(413, "Content Too Large", f"payload: is over {rules.PAYLOAD_BYTES} bytes of JSON.")
    return written


def _headers(value: Mapping[str, str]) -> str:
    if not all(isinstance(one, str) for pair in value.items() for one in pair):
        raise _invalid("headers", "Must be text to text.")
    if sum(len(one.encode(errors="replace")) for pair in value.items() for one in pair) > _HEADERS_BYTES:
        raise _invalid("headers", f"Must be at most {_HEADERS_BYTES} bytes in all.")
    return _json("headers", dict(value))


def _json(field: str, value: Any) -> str:
    """The JSON text of what the API would take."""
    try:
        written = _compact(value)
        written.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise _invalid(field, f"Is not JSON: {error}.") from None
    if _NUL.search(written):
        raise _invalid(field, r"Text must not hold \u0000.")
    depth = deepest = 0
    for one in re.findall(r"[\[{\]}]", _STRINGS.sub("", written)):
        depth += 1 if one in "[{" else -1
        deepest = max(deepest, depth)
    if deepest > _DEEPEST:
        raise _invalid(field, f"Is nested over {_DEEPEST} deep.")
    # Kept as the API keeps it: in ASCII.
    return written if written.isascii() else json.dumps(value, separators=(",", ":"))


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _duration(field: str, value: str | float | None, least: int, most: int) -> int | None:
    if value is None:
        return None
    try:
        found = parse_duration(value)
    except ValueError as error:
        raise _invalid(field, str(error)) from None
    if not least <= found <= most:
        raise _invalid(field, f"Must be from {least} ms to {most} ms.")
    return found


def _moment(value: datetime | None) -> datetime | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise _invalid("run_at", "Must have its offset from UTC.")
    if value > datetime.now(UTC) + timedelta(days=30):
        raise _invalid("run_at", "Must be at most 30 days ahead.")
    return value


def _invalid(field: str, message: str) -> ProblemError:
    problem = {
        "title": "Unprocessable Content",
        "status": 422,
        "detail": f"{field}: {message}",
        "errors": {field: [message]},
    }
    return problem_of(422, problem)


def _problem(status: int, title: str, detail: str) -> ProblemError:
    return problem_of(status, {"title": title, "status": status, "detail": detail})
