"""API keys: made, found by their prefix, listed, revoked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from faas.db.database import Database
from faas.domain.access import Key, Scope
from faas.errors import Conflict, NotFound

_COLUMNS = "id, name, prefix, scopes, created_at, expires_at, last_used_at, revoked_at, requests_per_minute, namespace"
_LIVING = "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())"
_LASTING_ADMIN = "revoked_at IS NULL AND expires_at IS NULL AND 'admin' = ANY (scopes) AND namespace = 'default'"


def add(
    database: Database,
    key_id: str,
    name: str,
    prefix: str,
    digest: bytes,
    scopes: Iterable[Scope],
    *,
    expires_s: int | None,
    requests_per_minute: int | None,
    namespace: str,
) -> Key:
    """Keep a new key.

    Args:
        digest: of the whole key.
        expires_s: how long it is good for; None for ever.
        requests_per_minute: how often it may call; None for any number.
    """
    sql = f"""INSERT INTO api_keys (id, name, prefix, digest, scopes, created_at, expires_at, requests_per_minute, namespace)
        VALUES (%s, %s, %s, %s, %s, clock_timestamp(), clock_timestamp() + %s * interval '1 second', %s, %s) RETURNING {_COLUMNS}"""
    with database.begin() as tx:
        row = tx.one(sql, (key_id, name, prefix, digest, sorted(scopes), expires_s, requests_per_minute, namespace))
    return _key(row)


def living(database: Database, prefix: str) -> tuple[Key, bytes] | None:
    """The key with a prefix and its digest; None where there is none, or none that is good any more."""
    with database.autocommit() as tx:
        row: Any = tx.one(f"SELECT {_COLUMNS}, digest FROM api_keys WHERE prefix = %s AND {_LIVING}", (prefix,))
    return (_key(row), bytes(row.digest)) if row else None


def any_made(database: Database) -> bool:
    """Whether a key was ever made. Revoked and expired ones count: what was closed once does not open by itself."""
    with database.autocommit() as tx:
        return tx.one("SELECT 1 FROM api_keys LIMIT 1") is not None


def any_admin(database: Database) -> bool:
    """Whether there is a living key with the scope `admin` that does not expire."""
    with database.autocommit() as tx:
        return tx.one(f"SELECT 1 FROM api_keys WHERE {_LASTING_ADMIN} LIMIT 1") is not None


def find(database: Database, namespace: str | None) -> list[Key]:
    """The keys of a namespace, or all where it is None; newest first."""
    where = "" if namespace is None else "WHERE namespace = %(namespace)s"
    with database.autocommit() as tx:
        rows = tx.rows(f"SELECT {_COLUMNS} FROM api_keys {where} ORDER BY id DESC", {"namespace": namespace})
    return [_key(row) for row in rows]


def revoke(database: Database, key_id: str, namespace: str | None) -> Key:
    """A key is good no more; once revoked it stays as it is.

    Args:
        namespace: where it must be; None for anywhere.

    Raises:
        NotFound: there is none. Conflict: it is the last with the scope `admin` that does not expire.
    """
    sql = f"UPDATE api_keys SET revoked_at = coalesce(revoked_at, clock_timestamp()) WHERE id = %s RETURNING {_COLUMNS}"
    with database.begin() as tx:
        # Two that revoke the last two keys at once must not both find another one.
        tx.run("LOCK TABLE api_keys IN SHARE ROW EXCLUSIVE MODE")
        if (
            tx.one("SELECT 1 FROM api_keys WHERE id = %s AND namespace = coalesce(%s, namespace)", (key_id, namespace))
            is None
        ):
            raise NotFound("There is no such key.")
        if tx.one(f"SELECT 1 FROM api_keys WHERE {_LASTING_ADMIN} AND id <> %s LIMIT 1", (key_id,)) is None:
            raise Conflict("It is the last key that can make others: make another one with the scope admin first.")
        return _key(tx.one(sql, (key_id,)))


def used(database: Database, key_id: str) -> None:
    """A key was used now."""
    with database.begin() as tx:
        tx.run("UPDATE api_keys SET last_used_at = clock_timestamp() WHERE id = %s", (key_id,))


def _key(row: Any) -> Key:
    scopes = frozenset(Scope(scope) for scope in row.scopes)
    return Key(
        id=str(row.id),
        name=row.name,
        prefix=row.prefix,
        scopes=scopes,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
        requests_per_minute=row.requests_per_minute,
        namespace=row.namespace,
    )
