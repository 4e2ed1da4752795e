"""The names by which processes find each other: tasks, the queue, channels in Redis."""

from __future__ import annotations

INVOKE = "faas.invoke"
BUILD = "faas.build"
QUEUE = "faas"

# Channels of Redis. A message on them is lost where nobody listens: whoever waits looks at the database too, now and then.
ENDED = "faas:ended"
CANCEL = "faas:cancel"
# Who follows a log asks on the first; the second, with the invocation's id after it, is where the answers come.
FOLLOW = "faas:follow"
LOG = "faas:log:"

# Set by the reconciler alone: if publishers set it too, the first of them after a wipe would hide the wipe. Where it is gone, Redis was wiped, and
# all that was published must be published again.
EPOCH = "faas:epoch"
