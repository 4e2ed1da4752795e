"""Functions, their revisions and their slots."""

from __future__ import annotations

import json
from typing import Any

from psycopg2 import IntegrityError

from faas.db import cursors, quotas, secrets
from faas.db.database import Database, Transaction
from faas.domain import http
from faas.domain.function import Function, FunctionState, Network, Retry, Revision, Runtime, Spec
from faas.domain.ids import is_id
from faas.domain.invocation import Page
from faas.domain.namespace import DEFAULT
from faas.errors import Conflict, NotFound

REVISION_COLUMNS = """r.number, r.version, r.runtime, r.handler, r.timeout_ms AS function_timeout_ms, r.memory_mb, r.cpus, r.max_concurrency,
    r.network, r.retry_max_attempts, r.retry_backoff_ms, r.retry_max_backoff_ms, r.environment, r.metadata, r.secrets, r.http, r.code_digest, r.code_size,
    r.artifact_digest, r.state, r.state_reason"""
_SELECT = f"""
    SELECT f.id, f.name, f.created_at, f.updated_at, {REVISION_COLUMNS}
    FROM functions f JOIN function_revisions r ON r.function_id = f.id AND r.number = f.revision
    WHERE f.deleted_at IS NULL"""
_INSERT_REVISION = """
    INSERT INTO function_revisions (
        function_id, number, version, runtime, handler, timeout_ms, memory_mb, cpus, max_concurrency, network,
        retry_max_attempts, retry_backoff_ms, retry_max_backoff_ms, environment, metadata, secrets, http, code_digest, code_size,
        artifact_digest, state, build_published_at, created_at
    ) VALUES (
        %(id)s, %(number)s, %(version)s, %(runtime)s, %(handler)s, %(timeout_ms)s, %(memory_mb)s, %(cpus)s, %(max_concurrency)s, %(network)s,
        %(max_attempts)s, %(backoff_ms)s, %(max_backoff_ms)s, %(environment)s, %(metadata)s, %(secrets)s, %(http)s, %(code_digest)s, %(code_size)s,
        %(artifact_digest)s, %(state)s, CASE WHEN %(state)s = 'building' THEN clock_timestamp() END, clock_timestamp())"""


def create(
    database: Database, function_id: str, name: str, spec: Spec, code: Code, namespace: str = DEFAULT
) -> Function:
    """Store a function's first revision. Raises Conflict where the name is taken or a quota is used up, Invalid where a secret is not there."""
    try:
        with database.begin() as tx:
            secrets.require(tx, namespace, spec.secrets)
            tx.run(
                "INSERT INTO functions (id, name, revision, created_at, updated_at, namespace) VALUES (%s, %s, 1, now(), now(), %s)",
                (function_id, name, namespace),
            )
            _insert_revision(tx, function_id, 1, spec, code)
            tx.run("INSERT INTO slots (function_id, capacity) VALUES (%s, %s)", (function_id, spec.max_concurrency))
            quotas.require_room(tx, namespace, concurrent=True, code=True)
            return _get(tx, function_id, namespace)
    except IntegrityError as error:
        raise _taken(name) from error


def get(database: Database, ref: str, namespace: str = DEFAULT) -> Function:
    """One function of a namespace by id or name. Raises NotFound."""
    with database.autocommit() as tx:
        return _get(tx, ref, namespace)


def find_id(database: Database, ref: str, namespace: str = DEFAULT) -> str | None:
    """The id of a function of a namespace by id or name; by its id also of a deleted one."""
    where = "id = %s" if is_id(ref) else "name = %s AND deleted_at IS NULL"
    with database.autocommit() as tx:
        row = tx.one(f"SELECT id FROM functions WHERE {where} AND namespace = %s", (ref, namespace))
    return str(row.id) if row else None


def find(
    database: Database, *, name: str | None, limit: int, cursor: str | None, namespace: str = DEFAULT
) -> Page[Function]:
    """A page of the functions of a namespace, newest first."""
    after = cursors.decode(cursor)
    sql = f"{_SELECT} AND f.namespace = %(namespace)s"
    sql += " AND f.name = %(name)s" if name is not None else ""
    sql += " AND f.id < %(after)s" if after else ""
    given = {"namespace": namespace, "name": name, "after": after, "limit": limit + 1}
    with database.autocommit() as tx:
        rows = tx.rows(f"{sql} ORDER BY f.id DESC LIMIT %(limit)s", given)
    return cursors.page(rows, limit, _function)


def lock(tx: Transaction, ref: str, namespace: str = DEFAULT) -> Function:
    """One function of a namespace, locked against other changes until the transaction ends. Raises NotFound."""
    sql = f"SELECT 1 FROM functions WHERE deleted_at IS NULL AND namespace = %s AND {_where(ref)} FOR UPDATE"
    tx.rows(sql, (namespace, ref))
    return _get(tx, ref, namespace)


def add_revision(
    tx: Transaction, function: Function, name: str, spec: Spec, code: Code, namespace: str = DEFAULT
) -> Function:
    """Add a revision to a locked function. Raises Conflict where the new name is taken."""
    try:
        tx.run(
            "UPDATE functions SET name = %s, revision = revision + 1, updated_at = clock_timestamp() WHERE id = %s",
            (name, function.id),
        )
    except IntegrityError as error:
        raise _taken(name) from error
    # The lock on the slots comes before the new revision is there, as faas_accept has it.
    tx.run("UPDATE slots SET capacity = %s WHERE function_id = %s", (spec.max_concurrency, function.id))
    _insert_revision(tx, function.id, function.revision + 1, spec, code)
    return _get(tx, function.id, namespace)


def artifact(tx: Transaction, function_id: str, number: int) -> str | None:
    """Digest of what a revision runs; None where it is not built."""
    row = tx.one(
        "SELECT artifact_digest FROM function_revisions WHERE function_id = %s AND number = %s",
        (function_id, number),
    )
    return row.artifact_digest if row else None


def admit(tx: Transaction, function_id: str) -> list[str]:
    """Give free slots to who waits; the ids to publish after the commit."""
    return [str(row[0]) for row in tx.rows("SELECT faas_admit(%s)", (function_id,))]


def mark_deleted(database: Database, ref: str, namespace: str = DEFAULT) -> str:
    """Delete a function: nothing is accepted or admitted for it any more. Its id. Raises NotFound."""
    with database.begin() as tx:
        function = lock(tx, ref, namespace)
        tx.run("DELETE FROM slots WHERE function_id = %s", (function.id,))
        tx.run("UPDATE functions SET deleted_at = now() WHERE id = %s", (function.id,))
    return function.id


class Code:
    """Where a revision's code is: digest and size of the package, and what runs (None until it is built)."""

    __slots__ = ("artifact_digest", "digest", "size")

    def __init__(self, digest: str, size: int, artifact_digest: str | None) -> None:
        self.digest, self.size, self.artifact_digest = digest, size, artifact_digest


def _insert_revision(tx: Transaction, function_id: str, number: int, spec: Spec, code: Code) -> None:
    state = FunctionState.ACTIVE if code.artifact_digest else FunctionState.BUILDING
    tx.run(
        _INSERT_REVISION,
        {
            "id": function_id,
            "number": number,
            "version": spec.version,
            "runtime": spec.runtime.value,
            "handler": spec.handler,
            "timeout_ms": spec.timeout_ms,
            "memory_mb": spec.memory_mb,
            "cpus": spec.cpus,
            "max_concurrency": spec.max_concurrency,
            "network": spec.network.value,
            "max_attempts": spec.retry.max_attempts,
            "backoff_ms": spec.retry.backoff_ms,
            "max_backoff_ms": spec.retry.max_backoff_ms,
            "environment": json.dumps(spec.environment),
            "metadata": json.dumps(spec.metadata),
            "secrets": json.dumps(spec.secrets),
            "http": json.dumps(http.to_json(spec.http)),
            "code_digest": code.digest,
            "code_size": code.size,
            "artifact_digest": code.artifact_digest,
            "state": state.value,
        },
    )


def _where(ref: str) -> str:
    return "id = %s" if is_id(ref) else "name = %s"


def _get(tx: Transaction, ref: str, namespace: str) -> Function:
    row = tx.one(f"{_SELECT} AND f.namespace = %s AND f.{_where(ref)}", (namespace, ref))
    if row is None:
        raise NotFound(f"There is no function {ref!r}.")
    return _function(row)


def _taken(name: str) -> Conflict:
    return Conflict(f"There is a function named {name!r} already.")


def _function(row: Any) -> Function:
    return Function(
        id=str(row.id),
        name=row.name,
        revision=row.number,
        spec=spec(row),
        state=FunctionState(row.state),
        state_reason=row.state_reason,
        code_digest=row.code_digest,
        code_size=row.code_size,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def spec(row: Any) -> Spec:
    """The spec in a row with `REVISION_COLUMNS`."""
    return Spec(
        runtime=Runtime(row.runtime),
        handler=row.handler,
        version=row.version,
        timeout_ms=row.function_timeout_ms,
        memory_mb=row.memory_mb,
        cpus=row.cpus,
        max_concurrency=row.max_concurrency,
        network=Network(row.network),
        retry=Retry(row.retry_max_attempts, row.retry_backoff_ms, row.retry_max_backoff_ms),
        environment=json.loads(row.environment),
        metadata=json.loads(row.metadata),
        secrets=json.loads(row.secrets),
        http=http.from_json(json.loads(row.http)),
    )


def revision(row: Any) -> Revision:
    """The revision in a row with `REVISION_COLUMNS`, `function_id`, `function_name` and `namespace`."""
    return Revision(
        function_id=str(row.function_id),
        function_name=row.function_name,
        number=row.number,
        spec=spec(row),
        code_digest=row.code_digest,
        artifact_digest=row.artifact_digest or row.code_digest,
        namespace=row.namespace,
    )
