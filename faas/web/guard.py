"""Whether the server may start: a composition root, used by gunicorn's settings before there is an application."""

from __future__ import annotations

import logging

from faas.config import Settings
from faas.db.database import Database
from faas.errors import DatabaseDown
from faas.services import Access

log = logging.getLogger("faas.web")


def guard(settings: Settings) -> None:
    """Look whether calls are open, and whether anybody at all could call.

    Raises:
        SystemExit: others than this machine reach the address, no key was made, and no variable says that this is meant.
    """
    database = Database(settings.database_url, connections=1, name="faas-web")
    try:
        is_made = Access(database, may_be_open=settings.may_be_open).is_made()
    except DatabaseDown as error:
        # Whoever calls is asked for a key, or told to come back, until the database answers.
        log.warning("whether there are API keys is not known yet: %s", error)
        return
    finally:
        database.close()
    if is_made:
        return
    if not settings.may_be_open:
        raise SystemExit(
            f"SERVER_ADDR: {settings.server_host} is reached from other machines, and no API key was made. Make the first one "
            "(faas keys create NAME --scope admin --local), or take calls from anybody (FAAS_ALLOW_ANONYMOUS=true)."
        )
    log.warning(
        "calls are open: no API key was made, so whoever reaches %s:%d may do everything",
        settings.server_host,
        settings.server_port,
    )
