"""Following what an invocation prints, up to its end."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import IO, Any

from faas.cli import output
from faas.cli.context import App
from faas.errors import FaasError

# After the end of an invocation its last words are a moment away.
_LAST_WORDS_S = 5.0


def follow(app: App, invocation_id: str, stream: IO[str]) -> None:
    """Write what an invocation prints to a stream until it has ended."""
    last = "\n"
    for line in app.client.handle(invocation_id).logs(follow=True):
        output.show_text(line.text, stream)
        last = line.text
    # What comes next begins on a line of its own.
    if not last.endswith("\n"):
        output.show_text("\n", stream)


@contextlib.contextmanager
def followed(app: App, invocation_id: str, stream: IO[str]) -> Iterator[None]:
    """While it is entered, what an invocation prints is written to a stream; left without an error, up to its last words."""
    thread = threading.Thread(target=_follow_quietly, args=(app, invocation_id, stream), daemon=True)
    thread.start()
    yield
    thread.join(_LAST_WORDS_S)


def _follow_quietly(app: App, invocation_id: str, stream: IO[str]) -> None:
    try:
        follow(app, invocation_id, stream)
    except FaasError as error:
        output.note(f"faas: the log broke off: {error}")


def as_json(invocation_id: str, line: Any) -> dict[str, Any]:
    """A line of a followed log as `--json` shows it."""
    time_ = line.time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"invocation_id": invocation_id, "time": time_, "stream": line.stream, "text": line.text}
