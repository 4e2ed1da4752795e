"""The spans of the platform, by OpenTelemetry's semantic conventions (HTTP, messaging, FaaS). `faas.telemetry.tracing` imports it where traces are on.

An invocation carries its trace in its own headers (`traceparent`, W3C Trace Context), which are a part of its record: so a message that is lost and
published again, a retry and another worker go on with the same trace, and the function is given it by the context that every runtime has.
No payload, no header and no message of an error is put into a span.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from faas.domain.invocation import Claim
from faas.domain.outcome import Outcome

# A receiver that is away must not hold up the end of a process.
_LAST_SECONDS = 5.0
_MS = 1_000_000
_DESTINATION = {"messaging.system": "redis", "messaging.destination.name": "faas"}
_W3C = TraceContextTextMapPropagator()


class Tracing:
    """The traces of one process. What the SDK reads from the environment (`OTEL_…`) is its own business.

    Args:
        role: the end of the service's name, where `OTEL_SERVICE_NAME` says nothing.
    """

    def __init__(self, role: str) -> None:
        resource = Resource.create()
        if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
            resource = resource.merge(Resource({SERVICE_NAME: f"faas-{role}"}))
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("faas")

    def request(self, method: str, headers: Mapping[str, str]) -> Request:
        """An HTTP request that has begun: the current span of its thread, a child of the one that its headers name (in lower case)."""
        attributes = {"http.request.method": method}
        return Request(self._tracer.start_span(method, _W3C.extract(headers), SpanKind.SERVER, attributes))

    def carried(self, headers: Mapping[str, str]) -> dict[str, str]:
        """An invocation's headers with the current span in them, in place of what they said before."""
        return _with(headers, get_current_span())

    def follows(self, headers: Mapping[str, str]) -> None:
        """Link the current span to the one in the headers of an invocation that is run again."""
        before = get_current_span(_W3C.extract(headers)).get_span_context()
        if before.is_valid:
            get_current_span().add_link(before)

    @contextmanager
    def publishing(self, invocation_id: str) -> Iterator[None]:
        """An invocation is published inside."""
        attributes = {**_DESTINATION, "messaging.operation.type": "send", "faas.invocation_id": invocation_id}
        with self._tracer.start_as_current_span("send faas", kind=SpanKind.PRODUCER, attributes=attributes):
            yield

    def attempt(self, claim: Claim) -> Attempt:
        """An attempt that begins now."""
        return Attempt(self._tracer, claim)

    def close(self) -> None:
        """Send what there is, for a few seconds at most."""
        last = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        last.start()
        last.join(_LAST_SECONDS)


class Request:
    """A request that is under way, from `Tracing.request`."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._token = otel_context.attach(set_span_in_context(span))

    @property
    def fields(self) -> dict[str, str]:
        """What lines of the log say of it."""
        return _fields(self._span)

    @property
    def traceparent(self) -> str:
        """The header that names it."""
        return _with({}, self._span).get("traceparent", "")

    def answered(self, method: str, route: str | None, status: int) -> None:
        """The answer has begun."""
        if route is not None:
            self._span.update_name(f"{method} {route}")
            self._span.set_attribute("http.route", route)
        self._span.set_attribute("http.response.status_code", status)
        if status >= 500:
            self._span.set_status(StatusCode.ERROR)
            self._span.set_attribute("error.type", str(status))

    def end(self) -> None:
        """It is over; by the thread that began it."""
        otel_context.detach(self._token)
        self._span.end()


class Attempt:
    """An attempt that is under way, from `Tracing.attempt`. One that is given up before it ends leaves no trace."""

    def __init__(self, tracer: Any, claim: Claim) -> None:
        self._tracer, self._claim = tracer, claim
        self._began = self._ended = time.time_ns()
        attributes = {
            **_DESTINATION,
            "messaging.operation.type": "process",
            "messaging.message.id": claim.invocation_id,
            "faas.invocation_id": claim.invocation_id,
            "faas.name": claim.revision.function_name,
            "faas.version": str(claim.revision.number),
            "faas.trigger": "pubsub",
            "faas.attempt": claim.attempt,
        }
        self._span = tracer.start_span(
            f"process {claim.revision.function_name}",
            _W3C.extract(claim.headers),
            SpanKind.CONSUMER,
            attributes,
            start_time=self._began,
        )
        self.headers = _with(claim.headers, self._span)

    @property
    def fields(self) -> dict[str, str]:
        """What lines of the log say of it."""
        return _fields(self._span)

    def ended(self, outcome: Outcome) -> None:
        """The function has ended; what is measured anyway tells where the time went."""
        self._ended = time.time_ns()
        called = self._ended - outcome.duration_ms * _MS
        self._part("wait for a worker", self._began - (self._claim.queue_ms or 0) * _MS, self._began)
        if outcome.cold_start:
            self._part("load", called - outcome.init_ms * _MS, called)
        self._part("run", called, self._ended)
        self._span.set_attribute("faas.coldstart", bool(outcome.cold_start))
        self._span.set_attribute("faas.status", outcome.status.value)
        if outcome.failure is not None:
            self._span.set_attribute("error.type", outcome.failure.type)
            self._span.set_status(StatusCode.ERROR, outcome.failure.type)

    def written(self) -> None:
        """Its end is committed, or will never be."""
        now = time.time_ns()
        self._part("commit", self._ended, now)
        self._span.end(now)

    def _part(self, name: str, began: int, ended: int) -> None:
        part = self._tracer.start_span(name, set_span_in_context(self._span), start_time=began)
        part.end(max(began, ended))


def _with(headers: Mapping[str, str], span: Span) -> dict[str, str]:
    carrier = {name: value for name, value in headers.items() if name.lower() not in _W3C.fields}
    _W3C.inject(carrier, set_span_in_context(span))
    return carrier


def _fields(span: Span) -> dict[str, str]:
    context = span.get_span_context()
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
