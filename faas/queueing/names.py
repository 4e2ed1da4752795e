"""The names by which processes find each other: tasks, the queue, channels in Redis."""

from __future__ import annotations

INVOKE = "faas.invoke"
BUILD = "faas.build"
QUEUE = "faas"

# Channels of Redis. A message on them is lost where nobody listens: whoever waits looks at the database too, now and then.
# Ids of invocations that have ended, one or more, with spaces between.
ENDED = "faas:ended"
# With a name behind it, of one process: who waits there for an invocation that it accepted is sent its end whole.
REPLY = "faas:reply:"
CANCEL = "faas:cancel"
# Who follows a log asks on the first; the second, with the invocation's id after it, is where the answers come.
FOLLOW = "faas:follow"
LOG = "faas:log:"

# What all processes have counted; the gauges of one, with its name behind it; and the processes (`faas.queueing.sums`).
METRICS = "faas:metrics"
METRICS_OF = "faas:metrics:of:"
METRICS_PROCESSES = "faas:metrics:processes"

# Holds which start of the server it was set under. Set by the reconciler alone: if publishers set it too, the first of them after a wipe would hide the
# wipe. Where it is gone, Redis was wiped; where it names another start, Redis may have come back with an old state. Then all that was published must be
# published again.
EPOCH = "faas:epoch"


def reply_channel(text: object) -> str | None:
    """What a message says of where its end is waited for, if it is one of the platform's: an ordinary `send_task` names a queue that nobody listens on."""
    return text if isinstance(text, str) and text.startswith(REPLY) else None
