"""The module that `celery -A bench.bare_worker worker` loads."""

from __future__ import annotations

import os

from bench.bare import make_app

app = make_app(os.environ["BENCH_REDIS_URL"])
