"""The frames between a host and the agent in a sandbox: a 4-byte big-endian length, then that many bytes of one JSON object in UTF-8.

Host to agent: `init`, `invoke`. Agent to host: `hello` (it runs and belongs to nobody), `ready` or `init_error`, and for each call
`result` or `error`. What a function prints is no frame: it flows through two FIFOs (`faas.sandbox.exchange`), so a function that
prints can't forge one by printing. No I/O here.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

from faas.domain.function import Revision
from faas.domain.secret import Secret
from faas.errors import SandboxError
from faas.sandbox.call import Call

FRAME_BYTES = 16 * 1024 * 1024
# The type given to a frame that is nested deeper than can be read: a result can make it so.
TOO_DEEP = "too_deep"
_LENGTH = struct.Struct(">I")


def init(revision: Revision, secrets: Mapping[str, Secret] | None = None) -> bytes:
    """The frame that gives a generic sandbox to a revision; the code lies in the exchange already.

    Args:
        secrets: variables of the function's environment that are in no other place.
    """
    spec = revision.spec
    revealed = {name: secret.reveal() for name, secret in (secrets or {}).items()}
    return encode(
        {
            "type": "init",
            "handler": spec.handler,
            "environment": {**spec.environment, **revealed},
            "function_name": revision.function_name,
            "function_version": spec.version or str(revision.number),
            "memory_mb": spec.memory_mb,
        }
    )


def invoke(call: Call, deadline_ms: int) -> bytes:
    """The frame of one call. The payload is JSON text already: it is put in as it is, never parsed on the host.

    Args:
        deadline_ms: Unix time at which the call's time is over.
    """
    headers = json.dumps(call.headers) if call.headers else "{}"
    return _framed(
        f'{{"type": "invoke", "id": "{call.invocation_id}", "headers": {headers}, "deadline_ms": {deadline_ms}, "payload": {call.payload}}}'.encode()
    )


def encode(message: dict[str, Any]) -> bytes:
    """One frame."""
    return _framed(json.dumps(message).encode())


def _framed(body: bytes) -> bytes:
    return _LENGTH.pack(len(body)) + body


class Decoder:
    """Puts frames together from bytes as they come: any cut is fine, and nothing over the cap is ever kept."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def empty(self) -> bool:
        """Whether no byte waits."""
        return not self._buffer

    def feed(self, data: bytes) -> dict[str, Any] | None:
        """Take bytes in.

        Returns:
            The frame that they complete, or None where more must come.

        Raises:
            SandboxError: what came is no frame, is over the cap, or has something after it: an agent sends one frame and then waits.
        """
        if (
            not self._buffer
            and _LENGTH.size < len(data) == _LENGTH.size + int.from_bytes(data[: _LENGTH.size]) <= FRAME_BYTES
        ):
            # The usual: all of it, and nothing else, at once.
            return _parse(data[_LENGTH.size :])
        self._buffer += data
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        if length > FRAME_BYTES:
            raise SandboxError("a frame over 16 MiB")
        end = _LENGTH.size + length
        if len(self._buffer) < end:
            return None
        if len(self._buffer) > end:
            raise SandboxError("bytes after the end of a frame")
        body = bytes(memoryview(self._buffer)[_LENGTH.size :])
        self._buffer = bytearray()
        return _parse(body)


def _parse(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except RecursionError:
        return {"type": TOO_DEEP}
    except ValueError:
        raise SandboxError("a frame that is not JSON") from None
    if not isinstance(message, dict):
        raise SandboxError("a frame that is not an object")
    return message
