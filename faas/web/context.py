"""The services that the running application was made with."""

from __future__ import annotations

from flask import Flask, current_app

from faas.services import Services

_KEY = "faas"


def attach(app: Flask, services: Services) -> None:
    """Give an application its services."""
    app.extensions[_KEY] = services


def services(app: Flask | None = None) -> Services:
    """The services of an application, the current one where it is left out."""
    found: Services = (app or current_app).extensions[_KEY]
    return found
