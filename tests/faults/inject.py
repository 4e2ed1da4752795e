"""Carries out a plan of faults. Everything happens in the caller's thread: the kernel ends a process with the thread that started it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Callable

import psycopg2
import redis

from faults.plan import Fault
from faults.platform import Platform

Lift = Callable[[], None]
_FOREIGN_PASSWORD = "another"


class Injector:
    """Begins and lifts faults.

    Attributes:
        done: how many of each kind were begun.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._due: list[tuple[float, Fault, Lift]] = []
        self.done: Counter[str] = Counter()

    def carry_out(self, plan: list[Fault]) -> None:
        """Begin and lift the faults of a plan at their times; all are lifted when this returns. A step that takes long makes the next ones late."""
        began = time.monotonic()
        try:
            for fault in plan:
                self._rest_until(began + fault.at)
                # A late fault must not meet the one before it on the same target.
                self._lift_of(fault.target)
                self._begin(fault)
            self._rest_until(max((due for due, _, _ in self._due), default=0.0))
        finally:
            self._lift(float("inf"))

    def _begin(self, fault: Fault) -> None:
        lift = _FAULTS[fault.kind](self._platform, fault)
        self.done[fault.kind] += 1
        self._due.append((time.monotonic() + fault.hold, fault, lift))

    def _rest_until(self, moment: float) -> None:
        while (now := time.monotonic()) < moment:
            self._lift(now)
            time.sleep(0.05)
        self._lift(time.monotonic())

    def _lift(self, now: float) -> None:
        for due in sorted((one for one in self._due if one[0] <= now), key=lambda one: one[0]):
            self._due.remove(due)
            due[2]()

    def _lift_of(self, target: str) -> None:
        for due in [one for one in self._due if one[1].target == target]:
            self._due.remove(due)
            due[2]()


def _nothing() -> None:
    return None


def _end(number: signal.Signals) -> Callable[[Platform, Fault], Lift]:
    def begin(platform: Platform, fault: Fault) -> Lift:
        platform.end(fault.target, number)
        return lambda: platform.come_back(fault.target)

    return begin


def _terminate(platform: Platform, fault: Fault) -> Lift:
    """It is not waited for: what it waits for may itself be held up by a fault. Who starts it again kills what is left of it."""
    platform.ask_to_end(fault.target)
    return lambda: platform.come_back(fault.target)


def _stop(platform: Platform, fault: Fault) -> Lift:
    platform.pause(fault.target, signal.SIGSTOP)
    return lambda: platform.pause(fault.target, signal.SIGCONT)


def _kill_web_process(platform: Platform, fault: Fault) -> Lift:
    if pid := platform.web_process(fault.target):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return _nothing


def _kill_container(platform: Platform, fault: Fault) -> Lift:
    client = platform.docker()
    try:
        for one, _ in platform.containers()[:1]:
            with contextlib.suppress(Exception):
                client.api.kill(one)
    finally:
        client.close()
    return _nothing


# -- Redis


def _flush_redis(platform: Platform, fault: Fault) -> Lift:
    platform.flush_redis()
    return _nothing


def _pause_redis(platform: Platform, fault: Fault) -> Lift:
    with platform.redis() as client:
        client.execute_command("CLIENT", "PAUSE", int(fault.hold * 1000))
    return _nothing


def _fill_redis(platform: Platform, fault: Fault) -> Lift:
    """It has the policy `noeviction`: every write is refused."""
    _configure(platform, "maxmemory", "1")
    return lambda: _configure(platform, "maxmemory", "0")


def _lock_redis(platform: Platform, fault: Fault) -> Lift:
    """The password is another one, and every client is thrown out."""
    # One connection throughout: it proved who it is with the right password.
    client = redis.Redis.from_url(platform.redis_url, socket_timeout=30, single_connection_client=True)
    (right,) = client.config_get("requirepass").values()
    client.config_set("requirepass", _FOREIGN_PASSWORD)
    client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

    def lift() -> None:
        client.config_set("requirepass", right)
        client.close()

    return lift


def _configure(platform: Platform, name: str, value: str) -> None:
    with platform.redis() as client:
        client.config_set(name, value)


# -- PostgreSQL


def _exhaust_postgres(platform: Platform, fault: Fault) -> Lift:
    """Every connection that is free is taken, and then each that becomes free when a client's is ended."""
    held: list[psycopg2.extensions.connection] = []
    with contextlib.suppress(psycopg2.OperationalError):
        while True:
            held.append(platform.connect())
    if held:
        _end_backends(held[0])
    with contextlib.suppress(psycopg2.OperationalError):
        while True:
            held.append(platform.connect())

    def lift() -> None:
        for connection in held:
            connection.close()

    return lift


def _cut_postgres(platform: Platform, fault: Fault) -> Lift:
    connection = platform.connect()
    try:
        _end_backends(connection)
    finally:
        connection.close()
    return _nothing


def _end_backends(connection: psycopg2.extensions.connection) -> None:
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'faas%'")


# -- links


def _spoil(mode: str) -> Callable[[Platform, Fault], Lift]:
    def begin(platform: Platform, fault: Fault) -> Lift:
        link = platform.links[fault.target]
        link.spoil(mode)
        return link.heal

    return begin


def _stall_and_reset(platform: Platform, fault: Fault) -> Lift:
    link = platform.links[fault.target]
    link.spoil("stall")

    def lift() -> None:
        link.reset()
        link.heal()

    return lift


def _reset(platform: Platform, fault: Fault) -> Lift:
    platform.links[fault.target].reset()
    return _nothing


def _half_close(platform: Platform, fault: Fault) -> Lift:
    platform.links[fault.target].half_close()
    return _nothing


_FAULTS: dict[str, Callable[[Platform, Fault], Lift]] = {
    "kill worker": _end(signal.SIGKILL),
    "kill worker again": _end(signal.SIGKILL),
    "terminate worker": _terminate,
    "stop worker": _stop,
    "kill controller": _end(signal.SIGKILL),
    "kill web process": _kill_web_process,
    "stop controller": _stop,
    "kill clock": _end(signal.SIGKILL),
    "stop clock": _stop,
    "flush redis": _flush_redis,
    "kill redis": _end(signal.SIGKILL),
    "restart redis": _end(signal.SIGTERM),
    "pause redis": _pause_redis,
    "stop redis": _stop,
    "fill redis": _fill_redis,
    "lock redis": _lock_redis,
    "restart postgres": _end(signal.SIGINT),
    "crash postgres": _end(signal.SIGQUIT),
    "exhaust postgres": _exhaust_postgres,
    "cut postgres": _cut_postgres,
    "latency": _spoil("latency"),
    "slow": _spoil("slow"),
    "stall": _spoil("stall"),
    "stall and reset": _stall_and_reset,
    "cut": _spoil("cut"),
    "refuse": _spoil("refuse"),
    "reset": _reset,
    "half close": _half_close,
    "kill container": _kill_container,
    "restart docker": _end(signal.SIGTERM),
    "kill docker": _end(signal.SIGKILL),
    "stop docker": _stop,
}
