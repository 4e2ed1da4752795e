"""Setting, listing and deleting secrets; giving them to a worker; encrypting them anew."""

from __future__ import annotations

import logging

from faas.db import secrets
from faas.db.database import Database
from faas.domain.function import Function, Revision
from faas.domain.secret import Secret, SecretRecord
from faas.errors import Conflict, FunctionError, NotFound
from faas.services.functions import Functions
from faas.services.vault import Vault

log = logging.getLogger("faas.services")

MOST_SECRETS = 1000
_AT_ONCE = 100


class Secrets:
    """The use cases of secrets. Nothing here decrypts."""

    def __init__(self, database: Database, vault: Vault, functions: Functions) -> None:
        self._database, self._vault, self._functions = database, vault, functions

    def put(self, namespace: str, name: str, value: Secret) -> SecretRecord:
        """Give a secret a value. Functions that are bound to it get a new revision in the same transaction: what is accepted later meets no sandbox with
        the old value.

        Raises:
            Conflict: there is no key to encrypt with, or the namespace has 1,000 secrets.
        """
        sealed = self._vault.seal(namespace, name, value)
        renewed: list[tuple[Function, list[str]]] = []
        with self._database.begin() as tx:
            version = secrets.put(tx, namespace, name, sealed)
            if version == 1 and secrets.count(tx, namespace) > MOST_SECRETS:
                raise Conflict(f"There are {MOST_SECRETS} secrets already.")
            for function_id, _ in secrets.bound(tx, namespace, name):
                again = self._functions.renew(tx, function_id, namespace)
                if again is not None:
                    renewed.append(again)
            record = secrets.get(tx, namespace, name)
        for function, run in renewed:
            self._functions.announce(function, run)
        assert record is not None
        log.info("a secret was set", extra={"fields": {"secret": name, "version": version}})
        return record

    def find(self, namespace: str) -> list[SecretRecord]:
        """All of a namespace, by name."""
        return secrets.find(self._database, namespace)

    def delete(self, namespace: str, name: str) -> None:
        """Remove a secret.

        Raises:
            NotFound: there is none.
            Conflict: a function is bound to it.
        """
        with self._database.begin() as tx:
            if not secrets.lock(tx, namespace, name):
                raise NotFound(f"There is no secret {name!r}.")
            used = [function for _, function in secrets.bound(tx, namespace, name)]
            if used:
                more = f" and {len(used) - 5} more" if len(used) > 5 else ""
                raise Conflict(f"The secret {name!r} is used by {', '.join(used[:5])}{more}.")
            secrets.delete(tx, namespace, name)
        log.info("a secret was deleted", extra={"fields": {"secret": name}})


def reveal(database: Database, vault: Vault, revision: Revision) -> dict[str, Secret]:
    """What a revision is given: a variable's name to the value that the secret has now. For workers alone.

    Raises:
        FunctionError: a secret was deleted; only work of an older revision can meet that.
        SandboxError: it can't be decrypted here.
    """
    wanted, namespace = revision.spec.secrets, revision.namespace
    if not wanted:
        return {}
    sealed = secrets.sealed(database, namespace, wanted.values())
    missing = sorted(set(wanted.values()) - sealed.keys())
    if missing:
        raise FunctionError(f"The secret {missing[0]!r} is not there any more.")
    return {variable: vault.open(namespace, name, sealed[name]) for variable, name in wanted.items()}


def rotate(database: Database, vault: Vault) -> int:
    """Encrypt with the first key what another one encrypted; how many that were. Values, versions and functions stay as they are.

    Raises:
        Conflict: there is no key. SandboxError: a value's key is not there any more.
    """
    done = 0
    while found := secrets.under_other_keys(database, vault.key_id, _AT_ONCE):
        for namespace, name, old in found:
            fresh = vault.seal(namespace, name, vault.open(namespace, name, old))
            done += secrets.replace(database, namespace, name, old, fresh)
    return done
