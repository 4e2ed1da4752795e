"""Where the platform is: `faas_url` and `faas_api_key` of the application's configuration, else `FAAS_URL` and `FAAS_API_KEY`."""

from __future__ import annotations

import os
import threading
from typing import Any

from faas.client.client import Client

_lock = threading.Lock()
_clients: dict[tuple[int, str | None, str | None], Client] = {}


def address_of(app: Any) -> tuple[str | None, str | None]:
    """The URL and the key that an application's configuration names; None for what it does not."""
    return app.conf.get("faas_url"), app.conf.get("faas_api_key")


def client_of(app: Any) -> Client:
    """The client of this process: connections that were made before a fork belong to the parent."""
    url, key = address_of(app)
    with _lock:
        mine = (os.getpid(), url, key)
        if mine not in _clients:
            _clients[mine] = Client(url, key)
        return _clients[mine]
