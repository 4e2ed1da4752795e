"""All that processes count. docs/monitoring.md describes each; a test compares the two."""

from __future__ import annotations

import re
from typing import Final

from faas.telemetry.counts import Counter, Gauge, Histogram

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# A request that matched no rule.
NO_ROUTE: Final = "none"
_STATUS = re.compile(r"[1-5][0-9][0-9]")
_ROLES = frozenset({"controller", "worker", "clock"})
_RUNTIMES = frozenset({"python", "nodejs", "go"})
_ANY_METHOD = METHODS | {"other"}

# From a quick read to an answer that was held for a minute.
_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
# A round trip on one host takes a fifth of a millisecond.
_ROUND_TRIP_SECONDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0)
_START_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

HTTP_REQUESTS: Final = Counter(
    "faas_http_requests",
    "Requests that were answered.",
    {"method": _ANY_METHOD, "route": None, "status": _STATUS},
)
HTTP_SECONDS: Final = Histogram(
    "faas_http_request_seconds",
    "Time to the beginning of the answer, waiting that was asked for included.",
    _REQUEST_SECONDS,
    {"method": _ANY_METHOD, "route": None},
)
CLAIMS: Final = Counter(
    "faas_claims",
    "Messages for which a worker tried to claim the invocation: claimed, or nothing was there to claim.",
    {"result": frozenset({"claimed", "nothing"})},
)
ATTEMPTS: Final = Counter(
    "faas_attempts",
    "Attempts that ended, by how.",
    {
        "result": frozenset({"succeeded", "failed", "timed_out", "cancelled", "platform_failed", "handed_back"}),
    },
)
RETRIES: Final = Counter(
    "faas_retries",
    "Attempts that are followed by another, by whose fault it was.",
    {"fault": frozenset({"function", "platform", "handback"})},
)
ENDS_REFUSED: Final = Counter(
    "faas_ends_refused", "Ends that were not written, since the attempt was not the current one any more."
)
SANDBOXES_TAKEN: Final = Counter(
    "faas_sandbox_calls",
    "Calls that were given a sandbox: a warm one, a generic one that stood ready, or one that was started for the call.",
    {"start": frozenset({"warm", "stem", "new"})},
)
SANDBOX_WAIT: Final = Histogram(
    "faas_sandbox_wait_seconds",
    "How long calls that found no warm sandbox at once waited for one, its start included; loading the code is not.",
    _START_SECONDS,
    {"start": frozenset({"warm", "stem", "new"})},
)
SANDBOX_START: Final = Histogram(
    "faas_sandbox_start_seconds", "How long it took to start a sandbox.", _START_SECONDS, {"runtime": _RUNTIMES}
)
SANDBOX_START_FAILURES: Final = Counter(
    "faas_sandbox_start_failures", "Sandboxes that could not be started.", {"runtime": _RUNTIMES}
)
SANDBOXES_REMOVED: Final = Counter(
    "faas_sandbox_removals",
    "Sandboxes of functions that were destroyed: to make room for another, idle for too long, not to be used again, "
    "or given up by the worker.",
    {"reason": frozenset({"room", "idle", "unusable", "given_up"})},
)
RECONCILER_ROUNDS: Final = Counter("faas_reconciler_rounds", "Rounds of the reconciler through its duties.")
RECONCILER_ACTIONS: Final = Counter(
    "faas_reconciler_actions",
    "What the reconciler did, by kind.",
    {
        "action": frozenset(
            {
                "admitted",
                "published_again",
                "expired",
                "worker_forgotten",
                "attempt_ended",
                "build_published",
                "let_go",
                "cancelled",
                "slots_mended",
                "rows_removed",
            }
        )
    },
)
RECONCILER_FAILURES: Final = Counter(
    "faas_reconciler_failures",
    "Turns of a duty of the reconciler that failed: for want of PostgreSQL or Redis, or by a fault of its own.",
    {"cause": frozenset({"database", "broker", "other"})},
)
DATABASE_SECONDS: Final = Histogram(
    "faas_database_seconds",
    "How long statements took in PostgreSQL, by kind.",
    _ROUND_TRIP_SECONDS,
    {"statement": frozenset({"accept", "claim", "finish", "commit", "other"})},
)
DATABASE_FAILURES: Final = Counter(
    "faas_database_failures", "Uses of PostgreSQL that failed because it did not answer."
)
BROKER_SECONDS: Final = Histogram(
    "faas_broker_seconds",
    "How long commands took in Redis: publishing, taking more messages out of a queue, and all others.",
    _ROUND_TRIP_SECONDS,
    {"command": frozenset({"publish", "pop", "other"})},
)
BROKER_FAILURES: Final = Counter("faas_broker_failures", "Uses of Redis that failed because it did not answer.")
CPU_SECONDS: Final = Counter("faas_process_cpu_seconds", "CPU time of the platform's processes.", {"role": _ROLES})

PROCESSES: Final = Gauge(
    "faas_processes", "Processes of the platform that told of themselves of late.", {"role": _ROLES}
)
MEMORY: Final = Gauge("faas_process_resident_memory_bytes", "Memory of the platform's processes.", {"role": _ROLES})
FILES: Final = Gauge("faas_process_open_fds", "Open files of the platform's processes.", {"role": _ROLES})
THREADS: Final = Gauge("faas_process_threads", "Threads of the platform's processes.", {"role": _ROLES})
RUNNING: Final = Gauge("faas_worker_attempts", "Attempts that workers have in hand.")
PLACES: Final = Gauge("faas_worker_attempts_limit", "Attempts that workers may run at once.")
SANDBOXES: Final = Gauge(
    "faas_sandboxes",
    "Sandboxes by state: starting, generic ones that stand ready (stem), busy, idle, and idle ones that are frozen.",
    {"state": frozenset({"starting", "stem", "busy", "idle", "frozen"})},
)
SANDBOX_MEMORY: Final = Gauge("faas_sandbox_memory_bytes", "The limits of all sandboxes of functions together.")
SANDBOX_MEMORY_LIMIT: Final = Gauge("faas_sandbox_memory_limit_bytes", "What these may come to.")
SANDBOX_WAITING: Final = Gauge("faas_sandbox_waiting", "Calls that wait for memory for a sandbox.")

COUNTERS: Final = (
    HTTP_REQUESTS,
    CLAIMS,
    ATTEMPTS,
    RETRIES,
    ENDS_REFUSED,
    SANDBOXES_TAKEN,
    SANDBOX_START_FAILURES,
    SANDBOXES_REMOVED,
    RECONCILER_ROUNDS,
    RECONCILER_ACTIONS,
    RECONCILER_FAILURES,
    DATABASE_FAILURES,
    BROKER_FAILURES,
    CPU_SECONDS,
)
HISTOGRAMS: Final = (HTTP_SECONDS, SANDBOX_WAIT, SANDBOX_START, DATABASE_SECONDS, BROKER_SECONDS)
GAUGES: Final = (
    PROCESSES,
    MEMORY,
    FILES,
    THREADS,
    RUNNING,
    PLACES,
    SANDBOXES,
    SANDBOX_MEMORY,
    SANDBOX_MEMORY_LIMIT,
    SANDBOX_WAITING,
)
