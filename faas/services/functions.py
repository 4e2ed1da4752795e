"""Creating, changing and deleting functions."""

from __future__ import annotations

import logging
from dataclasses import fields, replace

from faas.db import functions, invocations, quotas, secrets
from faas.db.database import Database, Transaction
from faas.db.functions import Code
from faas.domain import ids
from faas.domain.function import PACKED_BYTES, Function, FunctionState, Runtime, Spec, is_handler
from faas.domain.invocation import Page
from faas.domain.namespace import DEFAULT
from faas.errors import BrokerDown, Invalid, NotFound, TooLarge
from faas.queueing.publisher import Publisher
from faas.services.requests import FunctionChanges, NewFunction
from faas.storage import Storage, archive

log = logging.getLogger("faas.services")

_SPEC_FIELDS = frozenset(field.name for field in fields(Spec))
_CANCEL_AT_ONCE = 500


class Functions:
    """The use cases of functions. Each method is one; what it raises is in `faas.errors`."""

    def __init__(self, database: Database, storage: Storage, publisher: Publisher) -> None:
        self._database, self._storage, self._publisher = database, storage, publisher

    def create(self, new: NewFunction) -> Function:
        """Create a function; a Go program is compiled after the answer.

        Raises:
            Invalid, TooLarge: the code can't be used, or a secret is not there. Conflict: the name is taken.
        """
        _check(new.spec)
        code = self._store(new.spec, new.code)
        function = functions.create(self._database, ids.uuid7(), new.name, new.spec, code, new.namespace)
        self._publish_build(function)
        return function

    def find(
        self, *, name: str | None = None, limit: int = 50, cursor: str | None = None, namespace: str = DEFAULT
    ) -> Page[Function]:
        """A page of the functions of a namespace, newest first."""
        return functions.find(self._database, name=name, limit=limit, cursor=cursor, namespace=namespace)

    def get(self, ref: str, namespace: str = DEFAULT) -> Function:
        """One function of a namespace by id or name."""
        return functions.get(self._database, ref, namespace)

    def update(self, ref: str, changes: FunctionChanges, namespace: str = DEFAULT) -> Function:
        """Make a new revision with some fields changed; no fields, no revision."""
        if not changes.fields:
            return self.get(ref, namespace)
        given = dict(changes.fields)
        name, package = given.pop("name", None), given.pop("code", None)
        unknown = given.keys() - _SPEC_FIELDS
        if unknown:
            raise Invalid({field: ["Unknown field."] for field in sorted(unknown)})
        before = self.get(ref, namespace)
        _check(replace(before.spec, **given))
        fresh = self._store(replace(before.spec, **given), package) if package is not None else None
        with self._database.begin() as tx:
            secrets.require(tx, namespace, given.get("secrets", {}))
            now = functions.lock(tx, ref, namespace)
            spec = replace(now.spec, **given)
            _check(spec)
            code = fresh or _same_code(tx, now, spec)
            function = functions.add_revision(tx, now, name or now.name, spec, code, namespace)
            more = spec.max_concurrency > now.spec.max_concurrency
            quotas.require_room(tx, namespace, concurrent=more, code=code.size > now.code_size)
            run = functions.admit(tx, now.id)
        self.announce(function, run)
        return function

    def renew(self, tx: Transaction, function_id: str, namespace: str) -> tuple[Function, list[str]] | None:
        """A revision like the newest one, made as a part of a larger change; `announce` takes what this gives, after the commit. None where it was deleted."""
        try:
            now = functions.lock(tx, function_id, namespace)
        except NotFound:
            return None
        code = _same_code(tx, now, now.spec)
        return functions.add_revision(tx, now, now.name, now.spec, code, namespace), functions.admit(tx, now.id)

    def announce(self, function: Function, run: list[str]) -> None:
        """Tell workers of a new revision, and of what may run by it."""
        self._publish_build(function)
        self._publisher.announce(run=run)

    def delete(self, ref: str, namespace: str = DEFAULT) -> None:
        """Delete a function: its queued invocations end `cancelled`, the running ones finish."""
        self.cancel_queued(functions.mark_deleted(self._database, ref, namespace))

    def cancel_queued(self, function_id: str) -> int:
        """Cancel what a deleted function has queued, in portions so that no lock is held for long; how many."""
        total = 0
        while cancelled := invocations.cancel_queued_of(self._database, function_id, _CANCEL_AT_ONCE):
            total += len(cancelled)
            self._publisher.announce(ended=cancelled)
        return total

    def _store(self, spec: Spec, package: bytes) -> Code:
        if len(package) > PACKED_BYTES:
            raise TooLarge(f"The code is over {PACKED_BYTES // (1 << 20)} MiB.")
        archive.check(package)
        digest = self._storage.put(package)
        return Code(digest, len(package), None if spec.runtime is Runtime.GO else digest)

    def _publish_build(self, function: Function) -> None:
        if function.state is FunctionState.BUILDING:
            try:
                self._publisher.build(function.id, function.revision)
            except BrokerDown as error:
                log.warning("the build of %s was not published, the reconciler will: %s", function.id, error)


def _same_code(tx: Transaction, function: Function, spec: Spec) -> Code:
    """The code of a revision that changes other fields. A program that is compiled already is not compiled again."""
    artifact: str | None = function.code_digest
    if spec.runtime is Runtime.GO:
        same = function.spec.runtime is Runtime.GO and function.state is FunctionState.ACTIVE
        artifact = functions.artifact(tx, function.id, function.revision) if same else None
    return Code(function.code_digest, function.code_size, artifact)


def _check(spec: Spec) -> None:
    if not is_handler(spec.handler, spec.runtime):
        raise Invalid({"handler": [f"Not a handler for {spec.runtime.value}: must be module.function."]})
    both = sorted(spec.secrets.keys() & spec.environment.keys())
    if both:
        raise Invalid({f"secrets.{name}": ["Is in `environment` too."] for name in both})
