"""One sandbox of either engine: the protocol's host side over an engine's `Body`. It owns the deadlines, and says what every end means."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from faas.domain.function import MIN_INIT_MS, Revision
from faas.domain.outcome import EXIT_ERROR, INIT_ERROR, Outcome, failed, timed_out
from faas.domain.secret import Secret
from faas.errors import SandboxError
from faas.sandbox import protocol, verdict
from faas.sandbox.body import Body
from faas.sandbox.call import Call
from faas.sandbox.channel import Channel, Silence, Turn, listen
from faas.sandbox.engine import RunningCall
from faas.sandbox.exchange import Exchange
from faas.sandbox.log import Log

# An answer that was given in time may take this long to get here on a busy host.
_SLACK_S = 0.03
# How long an engine may take to learn of the end of a process whose connection is closed.
_DEATH_S = 5.0
# A child that has just ended is still counted for a moment.
_SETTLING_S = (0.005, 0.02, 0.05, 0.1)


class Session:
    """A sandbox (see `faas.sandbox.engine.Sandbox`). Made by `open_session`.

    Args:
        on_close: called once when the session is closed.
    """

    def __init__(
        self, sandbox_id: str, exchange: Exchange, channel: Channel, body: Body, on_close: Callable[[Session], None]
    ) -> None:
        self._id = sandbox_id
        self._exchange = exchange
        self._channel = channel
        self._body = body
        self._on_close = on_close
        self._lock = threading.Lock()
        self._closed = False
        self._spoiled = False
        self._loading_log: Log | None = None
        self._memory_mb = 0
        self._frozen = False
        self._processes: int | None = None

    @property
    def id(self) -> str:
        """The sandbox's id."""
        return self._id

    @property
    def body(self) -> Body:
        """The engine's part of it."""
        return self._body

    @property
    def usable(self) -> bool:
        """Whether it may be given another call."""
        return not self._spoiled and not self._closed and self._channel.quiet

    @property
    def spoiled(self) -> bool:
        """See `Sandbox.spoiled`."""
        return self._spoiled or self._closed

    def specialise(
        self,
        revision: Revision,
        code: Path,
        timeout_ms: int,
        log: Log | None = None,
        secrets: Mapping[str, Secret] | None = None,
    ) -> Outcome | int:
        """See `Sandbox.specialise`."""
        if not self.usable:
            self._spoiled = True
            raise SandboxError("the sandbox died before it was used")
        began = time.monotonic()
        log, kills = Log() if log is None else log, self._body.oom_kills()
        self._memory_mb = revision.spec.memory_mb
        bound_ms = max(MIN_INIT_MS, timeout_ms)
        try:
            self._body.limit(revision.spec.memory_mb, revision.spec.cpus)
            self._exchange.fill(code)
        except SandboxError:
            self._spoil()
            raise
        answer = self._channel.talk(protocol.init(revision, secrets), began + bound_ms / 1000, log)
        took_ms = round((time.monotonic() - began) * 1000)
        if isinstance(answer, dict) and answer.get("type") == "ready":
            self._loading_log = log
            self._processes = self._body.processes()
            return took_ms
        outcome = self._loading_failed(answer, bound_ms, kills)
        self._spoil()
        return replace(outcome, logs=self._log(log), init_ms=took_ms, cold_start=True)

    def _loading_failed(self, answer: dict[str, Any] | Silence | SandboxError, bound_ms: int, kills: int) -> Outcome:
        if answer is Silence.EXPIRED:
            return timed_out(f"The code did not load within {bound_ms / 1000:g} s.")
        if answer is Silence.CLOSED:
            return self._died(kills)
        if isinstance(answer, dict) and answer.get("type") == "init_error":
            return verdict.of_init_error(answer)
        return failed(INIT_ERROR, _misspoken(answer))

    def invoke(self, call: Call) -> Outcome:
        """See `Sandbox.invoke`."""
        running = self.begin(call)
        self._channel.wait(running.turn, running.deadline)
        return self.conclude(running)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """See `Sandbox.descriptors`."""
        return self._channel.descriptors

    def begin(self, call: Call) -> RunningCall:
        """See `Sandbox.begin`."""
        if self.spoiled:
            raise SandboxError("the sandbox died while it was idle")
        if self._frozen:
            self._frozen = False
            self._body.thaw()
        log, self._loading_log = call.log or self._loading_log or Log(), None
        # What was printed after the last answer belongs to no call.
        if not self._channel.drain(None):
            self._spoiled = True
            raise SandboxError("the sandbox died while it was idle, or spoke out of turn")
        kills = self._body.oom_kills()
        self._body.reset_peak()
        frame = protocol.invoke(call, round(time.time() * 1000) + call.timeout_ms)
        began = time.monotonic()
        turn = Turn(self._channel, frame, log)
        return RunningCall(call, turn, kills, began, began + call.timeout_ms / 1000 + _SLACK_S)

    def answers(self, running: RunningCall, until: float) -> bool:
        """See `Sandbox.answers`."""
        return not running.turn.unsent and self._channel.answered(running.turn, until)

    def conclude(self, running: RunningCall) -> Outcome:
        """See `Sandbox.conclude`."""
        duration_ms = round((time.monotonic() - running.began) * 1000)
        peak = self._body.memory_peak_mb()
        answer = running.turn.answer if running.turn.answer is not None else Silence.EXPIRED
        outcome = self._judge(answer, running)
        if not self._channel.drain(running.turn.log):
            # Gone, or it speaks out of turn: not to be given another call.
            self._spoiled = True
        return replace(outcome, logs=running.turn.log.value(), duration_ms=duration_ms, memory_peak_mb=peak)

    def is_plain(self, running: RunningCall) -> bool:
        """See `Sandbox.is_plain`."""
        running.plain = isinstance(running.turn.answer, dict) and not self._outnumbered()
        return running.plain

    def _judge(self, answer: dict[str, Any] | Silence | SandboxError, running: RunningCall) -> Outcome:
        call, kills = running.call, running.kills
        outcome = verdict.of_answer(answer, call.invocation_id) if isinstance(answer, dict) else None
        if outcome is not None and isinstance(answer, dict):
            starved = self._body.oom_kills() > kills
            if starved or (not running.plain and self._outlived()):
                self._spoil()
            return verdict.of_starved(outcome, self._memory_mb) if starved else outcome
        if answer is Silence.EXPIRED:
            outcome = timed_out(f"The function did not end within {call.timeout_ms / 1000:g} s.")
        elif answer is Silence.CLOSED:
            outcome = self._died(kills)
        else:
            outcome = failed(EXIT_ERROR, _misspoken(answer))
        self._spoil()
        return outcome

    def _died(self, kills: int) -> Outcome:
        death = self._body.death(_DEATH_S)
        if death is None:
            return failed(EXIT_ERROR, "The process closed its connection to the platform.")
        starved = death.out_of_memory or self._body.oom_kills() > kills
        return verdict.of_death(replace(death, out_of_memory=starved), self._memory_mb)

    def _outlived(self) -> bool:
        """Whether a process that the call started is still there."""
        for pause in (0.0, *_SETTLING_S):
            if pause:
                time.sleep(pause)
            if not self._outnumbered():
                return False
        return True

    def _outnumbered(self) -> bool:
        return self._processes is not None and self._body.outnumbers(self._processes)

    def _log(self, log: Log) -> bytes:
        self._channel.drain(log)
        return log.value()

    def _spoil(self) -> None:
        self._spoiled = True
        self._body.kill()

    @property
    def frozen(self) -> bool:
        """See `Sandbox.frozen`."""
        return self._frozen

    def freeze(self) -> None:
        """See `Sandbox.freeze`."""
        if not self._frozen:
            self._frozen = self._body.freeze()

    def kill(self) -> None:
        """See `Sandbox.kill`."""
        self._spoiled = True
        self._body.kill()

    def close(self) -> None:
        """See `Sandbox.close`."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._body.kill()
        self._channel.close()
        self._body.remove()
        self._exchange.close()
        self._on_close(self)


def open_session(
    sandbox_id: str, exchange: Exchange, body: Body, on_close: Callable[[Session], None], *, timeout_s: float
) -> Session:
    """Wait for the agent of a body that was just started. Where that fails, body and exchange are removed.

    Raises:
        SandboxError: the agent died, or did not say hello in time.
    """
    try:
        connection = exchange.accept(timeout_s, lambda: body.death(0) is None)
        channel = listen(connection, exchange.streams, time.monotonic() + timeout_s)
    except BaseException:
        with contextlib.suppress(Exception):
            body.kill()
            body.remove()
        exchange.close()
        raise
    return Session(sandbox_id, exchange, channel, body, on_close)


def _misspoken(answer: object) -> str:
    what = str(answer) if isinstance(answer, SandboxError) else "a frame that answers nothing"
    return f"The process broke the protocol: {what}."
