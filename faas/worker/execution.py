"""One attempt of one invocation: claim, code, sandbox, call, outcome."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from faas.db import attempts
from faas.domain import outcome as outcomes
from faas.domain.invocation import Claim, Status
from faas.domain.outcome import Outcome
from faas.errors import DatabaseDown, FaasError, FunctionError, PlatformError
from faas.results.backend import Ended
from faas.sandbox.call import Call
from faas.sandbox.engine import Sandbox
from faas.services import secrets
from faas.telemetry import logs
from faas.worker.context import Context
from faas.worker.lane import Lane
from faas.worker.running import Reason, Running

log = logging.getLogger("faas.worker")

# For room in the worker's memory; then the invocation goes to whoever has some.
_ROOM_SECONDS = 60.0


def run(context: Context, invocation_id: str, reply_to: str | None = None) -> Ended | None:
    """Run an invocation that was published, in the thread of its task.

    Args:
        reply_to: where the message says that its end is waited for.

    Returns:
        What is to be written, or None where there is nothing: the message was a duplicate, or the attempt was handed back or lost.
    """
    dispatcher = context.dispatcher
    claim = dispatcher.take(invocation_id) if dispatcher else _claim(context, invocation_id)
    if claim is None:
        return None
    try:
        return _run(context, claim, reply_to)
    finally:
        if dispatcher:
            dispatcher.done()


def board(
    context: Context,
    lane: Lane,
    claim: Claim,
    reply_to: str | None,
    over: Callable[[], None],
    turned_away: Callable[[], None],
    alone: bool = False,
) -> bool:
    """Run a claimed invocation without a thread, where a warm sandbox of it is idle, or is about to be.

    Args:
        over: called when the call is over, before its end is written.
        turned_away: called in its place where the call waited for a sandbox, and is to be given to a thread.
        alone: this thread has nothing else to do; it may run the call to its end.

    Returns:
        Whether it runs or waits; otherwise nothing has happened.
    """

    def done(running: Running, outcome: Outcome, here: bool) -> None:
        over()
        end = context.endings.end_soon if here else context.endings.end_later
        _finish(context, running, _judged(running, outcome), partial(end, reply_to=reply_to))

    return lane.begin(claim, done, turned_away, alone=alone)


def _finish(context: Context, running: Running, outcome: Outcome, end: Callable[..., None]) -> None:
    def written() -> None:
        context.running.remove(running)
        if running.trace is not None:
            running.trace.written()

    if running.trace is not None:
        running.trace.ended(outcome)
    context.usage.add(running.claim, outcome)
    if running.reason is Reason.LOST:
        written()
    elif _is_unfinished(running, outcome):
        context.endings.hand_back_later(running.claim, written)
    else:
        end(running.claim, outcome, written)


def _is_unfinished(running: Running, outcome: Outcome) -> bool:
    """Whether it was stopped because its worker stops, and did not end just before."""
    return running.reason is Reason.HANDED_BACK and outcome.status is not Status.SUCCEEDED


def _claim(context: Context, invocation_id: str) -> Claim | None:
    if context.draining.is_set():
        # Passed on to a worker that goes on.
        with logs.bind(invocation_id=invocation_id):
            context.publisher.announce(run=[invocation_id])
        return None
    try:
        ids = [invocation_id]
        return attempts.claim_many(context.database, ids, context.incarnation, context.revisions).get(invocation_id)
    except DatabaseDown as error:
        # The row stays queued, and the reconciler publishes it again.
        log.warning("not claimed: %s", error, extra={"fields": {"invocation_id": invocation_id}})
        return None


def _run(context: Context, claim: Claim, reply_to: str | None) -> Ended | None:
    with logs.bind(invocation_id=claim.invocation_id, attempt=claim.attempt), context.running.enter(claim) as running:
        running.begin_trace()
        with logs.bind(**running.trace.fields) if running.trace is not None else nullcontext():
            outcome = _outcome(context, running)
        context.usage.add(claim, outcome)
        written = _nothing
        if running.trace is not None:
            running.trace.ended(outcome)
            written = running.trace.written
        if running.reason is Reason.LOST:
            written()
            return None
        if _is_unfinished(running, outcome):
            context.endings.hand_back(claim)
            written()
            return None
        return Ended(claim, outcome, reply_to, written)


def _outcome(context: Context, running: Running) -> Outcome:
    try:
        outcome = _in_sandbox(context, running)
    except FunctionError as error:
        outcome = outcomes.failed(outcomes.INIT_ERROR, str(error))
    except PlatformError as error:
        log.warning("the platform failed: %s", error)
        outcome = outcomes.failed(outcomes.SANDBOX_ERROR, str(error))
    except Exception:
        log.exception("an attempt failed in a way that nobody foresaw")
        outcome = outcomes.failed(outcomes.SANDBOX_ERROR, "The platform failed; its log has the reason.")
    return _judged(running, outcome)


def _judged(running: Running, outcome: Outcome) -> Outcome:
    """An outcome in the light of why the attempt was stopped, if it was."""
    if running.reason is Reason.CANCELLED and outcome.status is not Status.SUCCEEDED:
        return replace(outcome, status=Status.CANCELLED, failure=None, result=None)
    return outcome


def _in_sandbox(context: Context, running: Running) -> Outcome:
    claim = running.claim
    code = context.shelf.get(claim.revision)
    sandbox, cold = context.pool.acquire(
        claim.revision, timeout_s=_ROOM_SECONDS, given_up=lambda: running.cancel.requested
    )
    running.cancel.attach(sandbox)
    try:
        init_ms = 0
        if cold:
            loaded = _load(context, running, sandbox, code)
            if isinstance(loaded, Outcome):
                return replace(loaded, cold_start=True)
            init_ms = loaded
        return replace(_call(sandbox, running), init_ms=init_ms, cold_start=cold)
    finally:
        running.cancel.detach()
        context.pool.release(sandbox)


def _load(context: Context, running: Running, sandbox: Sandbox, code: Path) -> Outcome | int:
    claim = running.claim
    try:
        # Now, and not before there was a sandbox: whoever gave a secret another value has bumped the revision in the same transaction.
        values = secrets.reveal(context.database, context.vault, claim.revision)
    except FaasError:
        # It belongs to nobody yet, and must not be kept for the next call.
        context.pool.discard(sandbox)
        raise
    return sandbox.specialise(claim.revision, code, claim.timeout_ms, running.log, values)


def _call(sandbox: Sandbox, running: Running) -> Outcome:
    claim = running.claim
    return sandbox.invoke(Call(claim.invocation_id, claim.payload, running.headers, claim.timeout_ms, running.log))


def _nothing() -> None:
    """There is no trace to end."""
