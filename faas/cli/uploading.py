"""Sending a function's code, which may be large, with a bar that shows how far it is."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

from faas.cli import output
from faas.cli.context import App

_CHUNK = 64 * 1024
# A large archive over a slow line, and the server's own time to unpack it.
_WRITE_S, _ANSWER_S = 60.0, 300.0
Advance = Callable[[int], None]


def send(app: App, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer of a request with a large body. It is sent once: who deploys sees whether it went well, and can say it again.

    Raises:
        ConnectionFailed, ProblemError: of `faas.client`, as for every other call.
    """
    import httpx

    from faas.client.policy import Again, Call, Settings, broken, judge

    content = json.dumps(body).encode()
    call = Call(method, path)
    settings = Settings(app.target.url, app.target.api_key, _WRITE_S, 0)
    headers = {**settings.headers(), "Content-Type": "application/json", "Content-Length": f"{len(content)}"}
    try:
        with _bar(len(content)) as advance:
            answer = httpx.request(
                method,
                settings.url + path,
                content=_pieces(content, advance),
                headers=headers,
                timeout=httpx.Timeout(_WRITE_S, read=_ANSWER_S),
            )
        judge(call, answer)
    except Again as again:
        raise again.error from again.error.__cause__
    except httpx.HTTPError as error:
        failed = broken(call, settings, error)
        raise (failed.error if isinstance(failed, Again) else failed) from error
    return dict(answer.json())


def _pieces(content: bytes, advance: Advance) -> Iterator[bytes]:
    for start in range(0, len(content), _CHUNK):
        yield content[start : start + _CHUNK]
        advance(min(_CHUNK, len(content) - start))


@contextlib.contextmanager
def _bar(total: int) -> Iterator[Advance]:
    """A bar on standard error, where that is a terminal."""
    if not output.is_terminal(sys.stderr):
        yield lambda _: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("Uploading"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=output.error_console(), transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda number: progress.advance(task, number)


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
    """A sign of life on standard error while something takes its time, where that is a terminal."""
    if not output.is_terminal(sys.stderr):
        yield
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=output.error_console(), transient=True) as progress:
        progress.add_task(what, total=None)
        yield
