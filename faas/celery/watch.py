"""Invocations under way, from one thread: accepted, and waited for by held answers, with a bounded number of connections."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

from faas.celery.names import Asked
from faas.client.aio import AsyncClient, AsyncHandle
from faas.client.errors import ConnectionFailed, FaasError, TooManyRequests, Unavailable, WaitTimeout

log = logging.getLogger("faas.celery")

# Answers that the platform holds for this process at once; where more wait, each gets its turn for a shorter time.
CONNECTIONS = 32
# The longest that one answer is held: a task that is revoked meanwhile is noticed after it.
HOLD_S = 5.0
_LEAST_HOLD_S = 0.1
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 15.0
_PASSING = (ConnectionFailed, Unavailable, TooManyRequests)


class Watch:
    """Waits for any number of invocations. Starts its thread, which ends with the process or by `close`.

    Args:
        url, api_key: as in `Client`.
        revoked: whether a task, by its id, is not wanted any more; asked from the thread.
    """

    def __init__(self, url: str | None, api_key: str | None, revoked: Callable[[str], bool]) -> None:
        self._address, self._revoked = (url, api_key), revoked
        self._waiting = 0
        self._loop = asyncio.new_event_loop()
        self._stop: asyncio.Event = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="faas-watch", daemon=True)
        self._thread.start()

    def begin(self, asked: Asked, ended: Callable[[], Any]) -> None:
        """Have it accepted and call `ended`, from the thread, when nothing is left to wait for."""
        self._loop.call_soon_threadsafe(self._start, asked, ended)

    def close(self) -> None:
        """Stop waiting; `ended` is called for nobody any more."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(timeout=10)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        url, key = self._address
        self._turns = asyncio.Semaphore(CONNECTIONS)
        async with AsyncClient(url, key) as self._client:
            await self._stop.wait()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, asked: Asked, ended: Callable[[], Any]) -> None:
        task = self._loop.create_task(self._await_end(asked, ended))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _await_end(self, asked: Asked, ended: Callable[[], Any]) -> None:
        self._waiting += 1
        try:
            await self._follow(asked)
        except FaasError as error:
            # The task itself meets it again, and fails by it.
            log.info("%s of the task %s is refused: %s", asked.function, asked.task_id, error)
        except Exception:
            log.exception("the function of the task %s can't be waited for", asked.task_id)
        finally:
            self._waiting -= 1
        ended()

    async def _follow(self, asked: Asked) -> None:
        """Until the invocation has ended, or its task is revoked; whatever is away meanwhile comes back."""
        handle: AsyncHandle | None = None
        pause = _FIRST_PAUSE_S
        while True:
            try:
                async with self._turns:
                    if handle is None:
                        handle = await self._client.invoke(
                            asked.function, asked.payload, idempotency_key=asked.key, **asked.options
                        )
                    if self._revoked(asked.task_id):
                        await handle.cancel()
                        return
                    await handle.wait(self._hold())
                    return
            except WaitTimeout:
                pause = _FIRST_PAUSE_S
            except _PASSING as error:
                log.warning("the platform does not answer for the task %s yet: %s", asked.task_id, error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_S)

    def _hold(self) -> float:
        return max(_LEAST_HOLD_S, HOLD_S * min(1.0, CONNECTIONS / max(1, self._waiting)))
