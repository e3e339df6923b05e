"""A demo system's application: a front page, and a health page that logs in to its database as the application does.

Run as ``python -m include.lab.web_app SYSTEM`` with ``LIFEBOAT_CONNECTIONS`` set.
"""

from __future__ import annotations

import html
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg
from psycopg import sql

from include.lab.ports import LOOPBACK
from include.lab.systems import DemoSystem, system
from include.recovery.connections import ConnectionInfo, connections_from_environment
from include.recovery.errors import LifeboatError


class Application(ThreadingHTTPServer):
    """The server of one system."""

    daemon_threads = True

    def __init__(self, served: DemoSystem, database: ConnectionInfo) -> None:
        self.served = served
        self._database = database
        super().__init__((LOOPBACK, served.web_port), _Handler)

    def health(self) -> dict[str, object]:
        """Log in afresh and read; what was found, or in one line why not."""
        where, begun = self._database, time.monotonic()
        try:
            with psycopg.connect(
                host=where.host,
                port=where.port,
                user=where.login,
                password=where.password,
                dbname=where.schema,
                connect_timeout=3,
                options="-c statement_timeout=5000",
            ) as connection:
                table = sql.Identifier(self.served.counted)
                row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(table)).fetchone()
        except psycopg.Error as error:
            lines = str(error).strip().splitlines()
            return {"healthy": False, "system": self.served.name, "why": lines[-1] if lines else type(error).__name__}
        milliseconds = round((time.monotonic() - begun) * 1000, 1)
        return {"healthy": True, "system": self.served.name, self.served.counted: row and row[0], "ms": milliseconds}


class _Handler(BaseHTTPRequestHandler):
    server: Application

    def do_GET(self) -> None:
        if self.path not in ("/", "/health"):
            return self._answer(404, "not found", "text/plain")
        health = self.server.health()
        status = 200 if health["healthy"] else 503
        if self.path == "/health":
            return self._answer(status, json.dumps(health), "application/json")
        return self._answer(status, _page(self.server.served, health), "text/html")

    def _answer(self, status: int, text: str, kind: str) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        """Say nothing."""


def _page(served: DemoSystem, health: dict[str, object]) -> str:
    state = "is up" if health["healthy"] else "is down for maintenance"
    facts = "".join(f"<dt>{html.escape(str(k))}</dt><dd>{html.escape(str(v))}</dd>" for k, v in health.items())
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(served.title)}</title>'
        f"<style>:root{{color-scheme:light dark}}body{{font:16px system-ui;margin:3rem auto;max-width:40rem}}</style>"
        f"<h1>{html.escape(served.title)} {state}</h1><dl>{facts}</dl></html>"
    )


def main(name: str) -> None:
    """Serve until told to stop."""
    served = system(name)
    try:
        database = connections_from_environment(os.environ)(served.app_role)
    except LifeboatError as error:
        sys.exit(str(error))
    Application(served, database).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
