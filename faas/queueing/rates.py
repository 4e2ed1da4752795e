"""How often a key may call: counted in Redis over all controllers, by the library `limits`."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from typing import Any

import redis
from limits import RateLimitItemPerMinute
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter

log = logging.getLogger("faas.queueing")

_SECONDS = 2
_PREFIX = "faas:rate"


@dataclass(frozen=True, slots=True)
class Rate:
    """What is left after a call.

    Attributes:
        limit: calls in a minute.
        remaining: how many more are taken now.
        reset_s: in so many seconds there is room again (for one, where none is left), a whole number.
    """

    allowed: bool
    limit: int
    remaining: int
    reset_s: int


class Rates:
    """Counts calls, for one process; threads share it. Nothing connects before the first use.

    Args:
        url: `redis://…` or `rediss://…`.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._limiter: SlidingWindowCounterRateLimiter | None = None

    def hit(self, key_id: str, per_minute: int) -> Rate | None:
        """Count a call of a key, where it is one of those that it may make.

        Returns:
            None where Redis does not answer: the call is let in. A limit is for fairness; who may do what does not depend on it.
        """
        item = RateLimitItemPerMinute(per_minute, namespace=_PREFIX)
        try:
            limiter = self._connected()
            allowed = limiter.hit(item, key_id)
            window = limiter.get_window_stats(item, key_id)
        except (redis.RedisError, OSError) as error:
            log.warning("calls are not counted: %s", error)
            return None
        reset_s = max(1, math.ceil(window.reset_time - time.time()))
        return Rate(allowed, per_minute, max(0, window.remaining), reset_s)

    def _connected(self) -> SlidingWindowCounterRateLimiter:
        if self._limiter is None:
            options: dict[str, Any] = {
                "socket_timeout": _SECONDS,
                "socket_connect_timeout": _SECONDS,
                "socket_keepalive": True,
            }
            self._limiter = SlidingWindowCounterRateLimiter(RedisStorage(self._url, **options))
        return self._limiter
