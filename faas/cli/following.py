"""`faas logs -f NAME`: the logs of a function's invocations as they come, several at once."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import deque
from typing import Any, NoReturn

import click

from faas.cli import output
from faas.cli.context import App
from faas.cli.listing import items
from faas.cli.tailing import as_json
from faas.errors import FaasError

_LOOK_SECONDS = 0.5
# What comes faster than this is not followed whole: each takes a connection of the server.
_AT_ONCE, _NEWEST = 16, 50
_COLOURS = ("cyan", "green", "yellow", "magenta", "blue")
_SHOWN = 8


class Follower:
    """Follows a function until Ctrl-C. Lines of different invocations may alternate; each begins with the end of its invocation's id."""

    def __init__(self, app: App, name: str) -> None:
        self._app, self._name = app, name
        self._seen: deque[str] = deque(maxlen=4 * _NEWEST)
        self._slots = threading.BoundedSemaphore(_AT_ONCE)
        self._printing = threading.Lock()

    def run(self, first: list[dict[str, Any]]) -> NoReturn:
        """Show those that are there, the oldest first, and then what comes."""
        known = items(self._app, "/invocations", _NEWEST, function_id=self._name)
        shown = {record["id"] for record in first}
        self._seen.extend(record["id"] for record in known if record["id"] not in shown)
        new = first
        while True:
            for record in reversed(new):
                self._seen.append(record["id"])
                self._begin(record["id"])
            time.sleep(_LOOK_SECONDS)
            found = items(self._app, "/invocations", _NEWEST, function_id=self._name)
            new = [record for record in found if record["id"] not in self._seen]

    def _begin(self, invocation_id: str) -> None:
        self._slots.acquire()
        threading.Thread(target=self._follow, args=(invocation_id,), daemon=True).start()

    def _follow(self, invocation_id: str) -> None:
        try:
            for line in self._app.client.handle(invocation_id).logs(follow=True):
                self._print(invocation_id, line)
        except FaasError as error:
            output.note(f"faas: the log of {invocation_id} broke off: {error}")
        finally:
            self._slots.release()

    def _print(self, invocation_id: str, line: Any) -> None:
        with self._printing:
            if self._app.json:
                click.echo(json.dumps(as_json(invocation_id, line), ensure_ascii=False))
                return
            mark = invocation_id[-_SHOWN:]
            if output.coloured(sys.stdout):
                mark = click.style(mark, fg=_COLOURS[int(mark, 16) % len(_COLOURS)])
            output.show_text(f"{mark} {line.text}" + ("" if line.text.endswith("\n") else "\n"))
