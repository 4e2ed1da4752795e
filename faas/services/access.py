"""API keys: making, listing and revoking them, and telling who calls."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from faas.db import keys, namespaces
from faas.db.database import Database
from faas.domain import ids
from faas.domain.access import ANYBODY, Caller, Key, Scope, digest, matches, mint, prefix_of
from faas.domain.namespace import DEFAULT
from faas.errors import DatabaseDown, Invalid, Unauthorized

log = logging.getLogger("faas.services")

# For so long a process answers out of its memory: a revoked key is good for at most that long, and a request costs no query.
REMEMBERED_S = 3.0
_USED_EVERY_S = 60.0
# Those called last; guesses fill it and push each other out.
_MOST = 1000


@dataclass(slots=True)
class _Remembered:
    known: tuple[Key, bytes] | None
    until: float


class Access:
    """The use cases of keys, for one process; threads share it.

    Args:
        may_be_open: whether calls without a key are taken for as long as no key was ever made.
    """

    def __init__(self, database: Database, *, may_be_open: bool) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._known: OrderedDict[str, _Remembered] = OrderedDict()
        # Never found to be open yet: not even long ago, though the host may have started just now.
        self._closed, self._open_until = not may_be_open, -math.inf
        self._used: dict[str, float] = {}

    def caller(self, key: str | None, *, late_s: float = 0.0) -> Caller:
        """Who calls with a key, or without one.

        Args:
            late_s: while PostgreSQL does not answer, what was found so long ago at most will do.

        Raises:
            Unauthorized: there is none and the server is not open, or it is no good.
            DatabaseDown: that can't be told now.
        """
        if key is None:
            if self.is_open(late_s):
                return ANYBODY
            raise Unauthorized("A key is needed: Authorization: Bearer KEY.")
        prefix = prefix_of(key)
        found = self._find(prefix, late_s) if prefix is not None else None
        if found is None or not matches(key, found[1]):
            raise Unauthorized("The key is not known, or not good any more.")
        self._note(found[0])
        one = found[0]
        return Caller(one.id, one.name, one.scopes, one.requests_per_minute, one.namespace)

    def is_made(self) -> bool:
        """Whether a key was ever made. Raises DatabaseDown."""
        return keys.any_made(self._database)

    def is_open(self, late_s: float = 0.0) -> bool:
        """Whether calls without a key are taken now. What was closed stays closed. `late_s`: as for `caller`."""
        if self._closed:
            return False
        now = time.monotonic()
        if now >= self._open_until:
            try:
                self._closed = self.is_made()
                self._open_until = now + REMEMBERED_S
            except DatabaseDown:
                if now >= self._open_until + late_s:
                    raise
        return not self._closed

    def create(
        self,
        name: str,
        scopes: Iterable[Scope],
        *,
        expires_s: int | None = None,
        requests_per_minute: int | None = None,
        namespace: str = DEFAULT,
    ) -> tuple[Key, str]:
        """Make a key.

        Args:
            expires_s: how long it is good for; None for ever.
            requests_per_minute: how often it may call; None for any number.

        Returns:
            The key as it is kept, and its text, which is not kept and can't be had again.

        Raises:
            Invalid: nobody could make keys any more: the first needs the scope `admin`, and has it for ever; or there is no
                such namespace.
        """
        given = frozenset(scopes)
        lasting = Scope.ADMIN in given and expires_s is None and namespace == DEFAULT
        if not lasting and not keys.any_admin(self._database):
            raise Invalid(
                {"scopes": ["The first key must have the scope admin in `default` and no expiry: it makes the others."]}
            )
        if not namespaces.exists(self._database, namespace):
            raise Invalid({"namespace": ["There is no such namespace."]})
        text = mint()
        prefix = prefix_of(text)
        assert prefix is not None
        made = keys.add(
            self._database,
            ids.uuid7(),
            name,
            prefix,
            digest(text),
            given,
            expires_s=expires_s,
            requests_per_minute=requests_per_minute,
            namespace=namespace,
        )
        with self._lock:
            self._closed = True
        return made, text

    def find(self, namespace: str | None = None) -> list[Key]:
        """The keys of a namespace, or all where it is None; newest first."""
        return keys.find(self._database, namespace)

    def revoke(self, key_id: str, namespace: str | None = None) -> Key:
        """Make a key good for nothing: within `REMEMBERED_S` in every process.

        Args:
            namespace: where it must be; None for anywhere.

        Raises:
            NotFound: there is none. Conflict: it is the last that can make others.
        """
        key = keys.revoke(self._database, key_id, namespace)
        with self._lock:
            self._known.pop(key.prefix, None)
        return key

    def _find(self, prefix: str, late_s: float) -> tuple[Key, bytes] | None:
        now = time.monotonic()
        with self._lock:
            remembered = self._known.get(prefix)
        if remembered is None or remembered.until < now:
            try:
                known = keys.living(self._database, prefix)
            except DatabaseDown:
                if remembered is None or now >= remembered.until + late_s:
                    raise
                return remembered.known
            remembered = _Remembered(known, now + REMEMBERED_S)
            with self._lock:
                self._known[prefix] = remembered
                self._known.move_to_end(prefix)
                if len(self._known) > _MOST:
                    self._known.popitem(last=False)
        return remembered.known

    def _note(self, key: Key) -> None:
        """Write down now and then that it is used."""
        now = time.monotonic()
        with self._lock:
            if now - self._used.get(key.id, -_USED_EVERY_S) < _USED_EVERY_S:
                return
            self._used[key.id] = now
        try:
            keys.used(self._database, key.id)
        except DatabaseDown as error:
            log.warning("the use of a key is not noted: %s", error)
