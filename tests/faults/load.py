"""Drives load: threads that submit in every way that there is, look, and cancel, whatever happens to the platform meanwhile."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import requests
from e2e.cluster import WORK

from faults.ledger import ANY, Item, Ledger, Request
from faults.platform import Platform

# No answer may take longer: every client and every wait of the platform has a limit below it.
ANSWER_SECONDS = 75.0
_KEYED = 0.5
_OK = frozenset({"succeeded"})


@dataclass(frozen=True, slots=True)
class Work:
    """A function, what is asked of it, and how that may end."""

    function: str
    limit: int
    payload: Callable[[random.Random], dict[str, object]]
    fields: dict[str, object]
    ends: frozenset[str]


def deploy(platform: Platform) -> list[Work]:
    """The functions that load is driven with. How often one stands in the list is how often it is taken."""
    retry = {"max_attempts": 8, "backoff": "200ms", "max_backoff": "1s"}
    one = platform.deploy(WORK, max_concurrency=1)
    few = platform.deploy(WORK, max_concurrency=3)
    many = platform.deploy(WORK, max_concurrency=8)
    flaky = platform.deploy(WORK, max_concurrency=4, retry=retry)
    hopeless = platform.deploy(WORK, max_concurrency=2, retry={**retry, "max_attempts": 3})
    ok = platform.expected_of_the_healthy
    return [
        *[Work(one, 1, _short, {}, ok)] * 2,
        *[Work(few, 3, _short, {}, ok)] * 3,
        *[Work(many, 8, _short, {}, ok)] * 6,
        *[Work(flaky, 4, lambda rng: {"fails_until": time.time() + rng.uniform(0.1, 0.6)}, {}, ok)] * 2,
        Work(hopeless, 2, lambda _: {"fails_until": time.time() + 3600}, {}, frozenset({"failed"})),
        # It ends by its time limit and nothing else, however long its worker was stopped.
        Work(few, 3, lambda _: {"sleep": 60}, {"timeout": "300ms"}, ok - _OK | {"timed_out"}),
        Work(many, 8, _short, {"delay": "700ms"}, ok),
        Work(one, 1, _short, {"expires_in": "500ms"}, ok | {"cancelled"}),
    ]


def _short(rng: random.Random) -> dict[str, object]:
    return {"sleep": round(rng.choice((0.0, 0.0, 0.05, 0.3, 1.0)), 2)}


class Driver:
    """One thread's load.

    Args:
        name: tells its tokens from those of others; with the seed it decides what is asked for.
    """

    def __init__(self, platform: Platform, ledger: Ledger, works: list[Work], name: str, pause: float) -> None:
        self._platform, self._ledger, self._works, self._name, self._pause = platform, ledger, works, name, pause
        self._rng = random.Random(name)
        self._numbers = itertools.count(1)
        self._controllers = itertools.cycle(platform.controllers)
        self._mine: list[Item] = []
        self._session = requests.Session()

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set."""
        steps = (self._submit,) * 8 + (self._submit_batch, self._look, self._look, self._cancel, self._repeat)
        with self._session:
            while not stop.wait(self._rng.uniform(0, 2 * self._pause)):
                self._rng.choice(steps)()

    def settle(self, request: Request) -> None:
        """Repeat a request with a key until its fate is known; the platform is healthy."""
        with self._session:
            for _ in range(20):
                if request.answered:
                    return
                self._send(request)
        self._ledger.problem(f"the request with the key {request.key} is not answered by a healthy platform")

    # -- steps

    def _submit(self) -> None:
        work = self._rng.choice(self._works)
        item, body = self._item(work)
        request = Request("/invoke", body, [item], self._key())
        wait = {"Prefer": "wait=2"} if self._rng.random() < 0.15 else {}
        self._first(request, wait)

    def _submit_batch(self) -> None:
        made = [self._item(self._rng.choice(self._works)) for _ in range(self._rng.randint(2, 12))]
        body: dict[str, object] = {"items": [body for _, body in made]}
        self._first(Request("/invoke/batch", body, [item for item, _ in made], self._key()), {})

    def _repeat(self) -> None:
        """A request with a key once more, whatever came of it."""
        keyed = [request for request in self._ledger.requests[-200:] if request.key]
        if keyed:
            self._send(self._rng.choice(keyed))

    def _look(self) -> None:
        if item := self._one_of_mine():
            self._call("GET", f"/invocations/{min(item.ids)}", {200})

    def _cancel(self) -> None:
        if item := self._one_of_mine():
            item.ends = ANY
            self._call("POST", f"/invocations/{min(item.ids)}/cancel", {202, 409})

    # -- requests

    def _item(self, work: Work) -> tuple[Item, dict[str, object]]:
        token = f"{self._name}-{next(self._numbers)}"
        body = {"function_id": work.function, "payload": {**work.payload(self._rng), "token": token}, **work.fields}
        return Item(token, work.function, work.ends), body

    def _key(self) -> str | None:
        return f"key-{self._name}-{next(self._numbers)}" if self._rng.random() < _KEYED else None

    def _one_of_mine(self) -> Item | None:
        known = [item for item in self._mine[-50:] if item.ids]
        return self._rng.choice(known) if known else None

    def _first(self, request: Request, headers: dict[str, str]) -> None:
        self._ledger.add(request)
        self._mine += request.items
        self._send(request, headers)

    def _send(self, request: Request, headers: dict[str, str] | None = None) -> None:
        more = {"Idempotency-Key": request.key} if request.key else {}
        answer = self._call("POST", request.path, {200, 202}, json=request.body, headers={**(headers or {}), **more})
        if answer is None:
            return
        told = answer.json()
        self._ledger.accepted(request, told["invocation_ids"] if "invocation_ids" in told else [told["id"]])

    def _call(self, method: str, path: str, good: set[int], **options: object) -> requests.Response | None:
        """The answer, where it is one of the good; every other but 503 is a problem."""
        began = time.monotonic()
        url = self._platform.url(next(self._controllers)) + path
        try:
            answer = self._session.request(method, url, timeout=ANSWER_SECONDS, **options)  # type: ignore[arg-type]
        except requests.Timeout:
            self._ledger.problem(f"{method} {path} was not answered for {ANSWER_SECONDS:.0f} s")
            return None
        except requests.RequestException:
            self._ledger.count("no answer", time.monotonic() - began)
            return None
        self._ledger.count(f"{answer.status_code}", time.monotonic() - began)
        if answer.status_code in good:
            return answer
        if answer.status_code != 503 or "Retry-After" not in answer.headers:
            self._ledger.problem(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return None
