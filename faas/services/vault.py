"""Encrypting and decrypting values: AES-256-GCM, each value bound to its namespace and name, so that no row can be put in another's place."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from faas.domain.secret import Sealed, Secret
from faas.errors import ConfigError, Conflict, SandboxError

_KEY_BYTES, _NONCE_BYTES = 32, 12


def new_key() -> str:
    """A fresh key, as `FAAS_SECRETS_KEY` takes it."""
    return base64.urlsafe_b64encode(AESGCM.generate_key(8 * _KEY_BYTES)).decode()


class Vault:
    """The keys.

    Args:
        keys: of `FAAS_SECRETS_KEY`, in base64: the first encrypts, all decrypt. None at all is a vault that does neither.

    Raises:
        ConfigError: one is no key.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        raw = [_parsed(key) for key in keys]
        # The id tells which key to take, and nothing about it.
        self._keys = {hashlib.sha256(b"faas key id" + key).hexdigest()[:12]: AESGCM(key) for key in raw}

    def __repr__(self) -> str:
        return f"Vault({', '.join(self._keys)})"

    @property
    def key_id(self) -> str:
        """The id of the key that encrypts. Raises Conflict where there is none."""
        if not self._keys:
            raise Conflict(
                "This server keeps no secrets: FAAS_SECRETS_KEY is not set. `faas secrets keygen` makes a key; servers and workers need the same."
            )
        return next(iter(self._keys))

    def seal(self, namespace: str, name: str, value: Secret) -> Sealed:
        """Encrypt a value. Raises Conflict where there is no key."""
        key_id, nonce = self.key_id, os.urandom(_NONCE_BYTES)
        text = self._keys[key_id].encrypt(nonce, value.reveal().encode(), _context(namespace, name))
        return Sealed(key_id, nonce + text)

    def open(self, namespace: str, name: str, sealed: Sealed) -> Secret:
        """Decrypt a value.

        Raises:
            SandboxError: the key is not here, or the row was tampered with. It names the secret and the key's id, no more.
        """
        key = self._keys.get(sealed.key_id)
        if key is None:
            raise SandboxError(f"the secret {name} needs the key {sealed.key_id}, which FAAS_SECRETS_KEY does not have")
        nonce, text = sealed.ciphertext[:_NONCE_BYTES], sealed.ciphertext[_NONCE_BYTES:]
        try:
            return Secret(key.decrypt(nonce, text, _context(namespace, name)).decode())
        except (InvalidTag, ValueError):
            raise SandboxError(f"the secret {name} was changed in the database, and can't be decrypted") from None


def _context(namespace: str, name: str) -> bytes:
    return f"{namespace}/{name}".encode()


def _parsed(text: str) -> bytes:
    try:
        key = base64.urlsafe_b64decode(text.encode("ascii"))
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise ConfigError("FAAS_SECRETS_KEY: must be keys of `faas secrets keygen`, with commas between")
    return key
