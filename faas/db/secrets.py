"""Secrets, encrypted: this module never sees a value.

Whoever writes a secret locks its row first and the functions after it, in the order of their ids; so does whoever binds one. So nobody waits in a
circle, and no function is bound to what was just deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from faas.db.database import Database, Transaction
from faas.domain.secret import Sealed, SecretRecord
from faas.errors import Invalid

_NEWEST = """functions f JOIN function_revisions r ON r.function_id = f.id AND r.number = f.revision
    CROSS JOIN LATERAL json_each_text(r.secrets::json) b"""
_SELECT = f"""SELECT s.name, s.version, s.created_at, s.updated_at, COALESCE(u.functions, '{{}}') AS functions
    FROM secrets s LEFT JOIN (
        SELECT f.namespace, b.value AS name, array_agg(DISTINCT f.name ORDER BY f.name) AS functions
        FROM {_NEWEST} WHERE f.deleted_at IS NULL AND r.secrets <> '{{}}' GROUP BY f.namespace, b.value
    ) u ON u.name = s.name AND u.namespace = s.namespace WHERE s.namespace = %s"""


def put(tx: Transaction, namespace: str, name: str, sealed: Sealed) -> int:
    """Store a value, and lock the secret until the transaction ends; its version."""
    row = tx.one(
        """INSERT INTO secrets (namespace, name, version, key_id, ciphertext, created_at, updated_at)
        VALUES (%s, %s, 1, %s, %s, clock_timestamp(), clock_timestamp())
        ON CONFLICT (namespace, name) DO UPDATE SET version = secrets.version + 1, key_id = excluded.key_id,
            ciphertext = excluded.ciphertext, updated_at = excluded.updated_at
        RETURNING version""",
        (namespace, name, sealed.key_id, sealed.ciphertext),
    )
    assert row is not None
    return int(row.version)


def count(tx: Transaction, namespace: str) -> int:
    """How many a namespace has."""
    row = tx.one("SELECT count(*) AS n FROM secrets WHERE namespace = %s", (namespace,))
    return int(row.n) if row else 0


def get(tx: Transaction, namespace: str, name: str) -> SecretRecord | None:
    """What is told of one."""
    row = tx.one(f"{_SELECT} AND s.name = %s", (namespace, name))
    return _record(row) if row else None


def find(database: Database, namespace: str) -> list[SecretRecord]:
    """All of a namespace, by name."""
    with database.autocommit() as tx:
        return [_record(row) for row in tx.rows(f"{_SELECT} ORDER BY s.name", (namespace,))]


def lock(tx: Transaction, namespace: str, name: str) -> bool:
    """Lock one against every other use until the transaction ends; whether it is there."""
    return tx.one("SELECT 1 FROM secrets WHERE namespace = %s AND name = %s FOR UPDATE", (namespace, name)) is not None


def keep(tx: Transaction, namespace: str, names: Collection[str]) -> set[str]:
    """Which of these are there; they are not deleted or changed before the transaction ends."""
    if not names:
        return set()
    sql = "SELECT name FROM secrets WHERE namespace = %s AND name = ANY(%s) ORDER BY name FOR SHARE"
    return {row.name for row in tx.rows(sql, (namespace, list(names)))}


def require(tx: Transaction, namespace: str, bindings: Mapping[str, str]) -> None:
    """See that the secrets of bindings are there, and stay while a function is being bound to them. Raises Invalid, which names those that are not."""
    there = keep(tx, namespace, set(bindings.values()))
    missing = {
        f"secrets.{variable}": ["There is no such secret."] for variable, name in bindings.items() if name not in there
    }
    if missing:
        raise Invalid(missing)


def delete(tx: Transaction, namespace: str, name: str) -> None:
    """Remove one."""
    tx.run("DELETE FROM secrets WHERE namespace = %s AND name = %s", (namespace, name))


def bound(tx: Transaction, namespace: str, name: str) -> list[tuple[str, str]]:
    """Id and name of the living functions of a namespace whose newest revision is given a secret, by id."""
    sql = f"""SELECT DISTINCT f.id, f.name FROM {_NEWEST}
        WHERE f.deleted_at IS NULL AND f.namespace = %s AND r.secrets <> '{{}}' AND b.value = %s ORDER BY f.id"""
    return [(str(row.id), row.name) for row in tx.rows(sql, (namespace, name))]


def sealed(database: Database, namespace: str, names: Collection[str]) -> dict[str, Sealed]:
    """The encrypted values of those that are there."""
    sql = "SELECT name, key_id, ciphertext FROM secrets WHERE namespace = %s AND name = ANY(%s)"
    with database.autocommit() as tx:
        return {
            row.name: Sealed(row.key_id, bytes(row.ciphertext)) for row in tx.rows(sql, (namespace, list(set(names))))
        }


def under_other_keys(database: Database, key_id: str, limit: int) -> list[tuple[str, str, Sealed]]:
    """Namespace, name and value of some that another key encrypted."""
    sql = """SELECT namespace, name, key_id, ciphertext FROM secrets WHERE key_id <> %s
        ORDER BY namespace, name LIMIT %s"""
    with database.autocommit() as tx:
        return [
            (row.namespace, row.name, Sealed(row.key_id, bytes(row.ciphertext)))
            for row in tx.rows(sql, (key_id, limit))
        ]


def replace(database: Database, namespace: str, name: str, old: Sealed, new: Sealed) -> bool:
    """Store the same value encrypted anew, unless it was changed meanwhile; whether that was done."""
    sql = """UPDATE secrets SET key_id = %s, ciphertext = %s WHERE namespace = %s AND name = %s AND ciphertext = %s"""
    with database.autocommit() as tx:
        return tx.run(sql, (new.key_id, new.ciphertext, namespace, name, old.ciphertext)) == 1


def _record(row: Any) -> SecretRecord:
    return SecretRecord(row.name, row.version, tuple(row.functions), row.created_at, row.updated_at)
