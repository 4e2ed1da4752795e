"""gunicorn's worker with threads, which bounds how long the head of a request may take."""

from __future__ import annotations

from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from faas.web.slow_clients import SlowClients


class Worker(ThreadWorker):  # type: ignore[misc]
    """One process of the controller. `slow_clients` is set before it serves (`faas.web.gunicorn`)."""

    slow_clients: SlowClients

    def handle(self, conn: Any) -> Any:
        """One request of a connection, in a thread of its own."""
        conn.head = self.slow_clients.head(conn.sock)
        try:
            return super().handle(conn)
        finally:
            self.slow_clients.end(conn.head)

    def handle_request(self, req: Any, conn: Any) -> Any:
        """The head is there."""
        self.slow_clients.end(conn.head)
        return super().handle_request(req, conn)
