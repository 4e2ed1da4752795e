"""The controller: HTTP and nothing else. `create_app` is its composition root; gunicorn calls it in each of its processes."""

from __future__ import annotations

from flask import Flask

from faas import config
from faas.config import Settings
from faas.services import Services
from faas.telemetry import logs
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
    trigger,
)


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
    context.attach(app, services or _open(settings or config.load()))
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
        documents,
        trigger,
        function_logs,
    ):
        app.register_blueprint(module.blueprint)
    return app


def _open(settings: Settings) -> Services:
    logs.configure(settings.log_level)
    return Services.open(settings)
