"""The controller: HTTP and nothing else. `create_app` is its composition root; gunicorn calls it in each of its processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask

from faas import config
from faas.config import Settings
from faas.web import context, documents, functions, health, invocations, observe, problems

if TYPE_CHECKING:
    from faas.services import Services


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
    observe.install(app)
    problems.install(app)
    for module in (functions, invocations, health, documents):
        app.register_blueprint(module.blueprint)
    return app


def _open(settings: Settings) -> Services:
    # Here, so that the HTTP side can be started on other services without what these need.
    from faas.services import Services

    return Services.open(settings)
