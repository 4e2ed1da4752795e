"""The controller: HTTP and nothing else. `create_app` is its composition root; gunicorn calls it in each of its processes."""

from __future__ import annotations

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from faas import config
from faas.config import Settings
from faas.services import Services
from faas.telemetry import logs, tracing
from faas.web import (
    audit,
    auth,
    batches,
    body,
    context,
    documents,
    function_logs,
    functions,
    health,
    history,
    invocations,
    keys,
    metrics,
    namespaces,
    observe,
    problems,
    replays,
    secrets,
    stats,
    stats_page,
    trigger,
)
from faas.web.front import Front


def create_app(services: Services | None = None, settings: Settings | None = None) -> Flask:
    """Make the application.

    Args:
        services: the use cases; opened from the settings where left out.
        settings: read from the environment where left out and needed.

    Raises:
        ConfigError: the environment has a value that can't be right.
    """
    app = Flask(__name__)
    # A path is what it says: `//` in it is a 404, not a redirect that drops the body.
    app.url_map.merge_slashes = False
    if services is None:
        settings = settings or config.load()
        services = _open(settings)
    context.attach(app, services)
    if settings is not None and settings.trusted_proxies:
        # The header is anybody's to send: only what that many proxies of one's own have added to it is believed.
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.trusted_proxies, x_proto=0)  # type: ignore[method-assign]
    body.install(app)
    observe.install(app)
    auth.install(app)
    problems.install(app)
    for module in (
        functions,
        invocations,
        batches,
        replays,
        history,
        secrets,
        keys,
        namespaces,
        audit,
        health,
        metrics,
        stats,
        stats_page,
        documents,
        trigger,
        function_logs,
    ):
        app.register_blueprint(module.blueprint)
    if settings is None or settings.server_invoke == "fast":
        app.wsgi_app = Front(app)  # type: ignore[method-assign]
    return app


def _open(settings: Settings) -> Services:
    logs.configure(settings.log_level)
    tracing.start(settings, "controller")
    services = Services.open(settings)
    services.metrics.start()
    return services
