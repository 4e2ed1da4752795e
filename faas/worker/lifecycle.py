"""The start and the end of a worker process, hung on Celery's signals."""

from __future__ import annotations

import gc
import logging
import resource
import secrets
import threading
from functools import partial
from typing import Any

from celery import signals

from faas import config
from faas.errors import PlatformError
from faas.queueing import transport
from faas.results import backend
from faas.telemetry import logs, tracing
from faas.telemetry.catalogue import BROKER_SECONDS
from faas.worker import execution
from faas.worker.context import Context, current, open_context, set_current
from faas.worker.following import Following
from faas.worker.keeper import Keeper
from faas.worker.running import Reason

log = logging.getLogger("faas.worker")

# A warm sandbox takes seven descriptors, and many systems give a process 1024 where it does not ask.
_OPEN_FILES = 65_536
# So many are made before the young ones are looked through for cycles: calls leave none, and looking after every 700 is a hundredth of what they take.
_NEW_OBJECTS = 20_000

_keeper: Keeper | None = None
_following: Following | None = None


def connect() -> None:
    """Hang the functions below on Celery's signals. They are module-level, so the weak references of signals hold."""
    signals.setup_logging.connect(_set_up_logging)
    signals.celeryd_init.connect(_name)
    signals.worker_init.connect(_start)
    signals.worker_shutting_down.connect(_drain)
    signals.worker_shutdown.connect(_stop)


def _set_up_logging(**_: Any) -> None:
    logs.configure(config.load().log_level)


def _name(instance: Any, **_: Any) -> None:
    """A node name of its own for each worker of a host, where none is given: two of one name confuse remote control."""
    kind, _, host = instance.hostname.partition("@")
    if kind == "celery":
        instance.hostname = f"{config.load().worker_id}-{secrets.token_hex(3)}@{host}"


def _start(sender: Any, **_: Any) -> None:
    global _keeper, _following
    if "thread" not in sender.pool_cls.__module__:
        raise SystemExit(
            "faas worker: needs the thread pool, which is the default here: leave -P out, or say -P threads"
        )
    allow_open_files()
    try:
        settings = config.load()
        tracing.start(settings, "worker")
        context = open_context(settings, int(sender.concurrency))
        keeper = Keeper(context)
        keeper.start()
    except PlatformError as error:
        raise SystemExit(f"faas worker: {error}") from error
    _keeper = keeper
    _following = Following(context.settings.redis_url, context.running)
    _following.start()
    context.reporter.start()
    transport.tell_of_pops(lambda seconds: context.counts.observe(BROKER_SECONDS, seconds, "pop"))
    set_current(context)
    backend.write_with(context.endings)
    if context.dispatcher and context.lane:
        context.lane.start()
        context.dispatcher.start(partial(execution.board, context, context.lane), context.endings.wait_for_room)
    # What is there by now stays. Looking through it for garbage again and again would stop all calls for tens of milliseconds each time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
    log.info("worker started", extra={"fields": {"worker": context.incarnation, "engine": context.engine.name}})


def allow_open_files() -> None:
    """Raise this process's limit to what it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _drain(**_: Any) -> None:
    """SIGTERM: nothing is claimed any more. What runs may finish within the grace, and is handed back after it."""
    context = current()
    context.draining.set()
    threading.Thread(target=_hand_back_after, args=(context,), name="grace", daemon=True).start()


def _hand_back_after(context: Context) -> None:
    threading.Event().wait(context.settings.worker_grace)
    if len(context.running):
        log.info("the grace is over; %d running are handed back", len(context.running))
    context.running.stop_all(Reason.HANDED_BACK)


def _stop(**_: Any) -> None:
    global _keeper, _following
    context = current()
    transport.hand_to(None)
    if context.dispatcher:
        context.dispatcher.stop()
    if context.lane:
        context.lane.hand_back()
    if context.dispatcher:
        context.dispatcher.hand_back(context.endings)
    if context.lane:
        # Celery waits for its own threads alone. The grace bounds this one too.
        context.lane.stop()
    if _keeper is not None:
        _keeper.stop()
    context.usage.write(at_once=True)
    if _following is not None:
        _following.stop()
    _keeper = _following = None
    backend.write_with(None)
    set_current(None)
    context.close()
    tracing.stop()
    log.info("worker stopped", extra={"fields": {"worker": context.incarnation}})
