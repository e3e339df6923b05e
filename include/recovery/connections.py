"""Where servers and stores are, and with which credentials: the one shape that all rings pass around."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from include.recovery.errors import LifeboatError


@dataclass(frozen=True)
class ConnectionInfo:
    """One connection, with the fields of an Airflow connection. The password never shows in ``repr``."""

    id: str
    host: str = ""
    port: int | None = None
    login: str = ""
    password: str = field(default="", repr=False)
    schema: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


ConnectionSource = Callable[[str], ConnectionInfo]
"""Finds a connection by id; raises ``LifeboatError`` with the known ids when there is none."""


def connections_from_environment(environ: Mapping[str, str]) -> ConnectionSource:
    """Connections for use without Airflow, in the two forms that Airflow itself reads.

    ``AIRFLOW_CONN_<ID>`` holding a JSON object wins over the file that ``LIFEBOAT_CONNECTIONS`` names, a JSON object of
    id to connection as Airflow's ``LocalFilesystemBackend`` reads it.

    :raises LifeboatError: from the returned function, naming the ids that are known.
    """

    def find(connection_id: str) -> ConnectionInfo:
        variable = f"AIRFLOW_CONN_{connection_id.upper()}"
        if variable in environ:
            return _parsed(connection_id, _object(environ[variable], variable))
        known = _connections_file(environ)
        if connection_id in known:
            return _parsed(connection_id, known[connection_id])
        raise LifeboatError(
            f"connection {connection_id!r} is not defined; known are {', '.join(sorted(known)) or 'none'}; "
            f"set {variable} to a JSON object, or add it to the file that LIFEBOAT_CONNECTIONS names"
        )

    return find


def _connections_file(environ: Mapping[str, str]) -> dict[str, Any]:
    """The whole file of connections; empty when none is named."""
    path = environ.get("LIFEBOAT_CONNECTIONS")
    if not path:
        return {}
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise LifeboatError(f"LIFEBOAT_CONNECTIONS names {path}, which cannot be read: {error.strerror}") from error
    return _object(text, f"the file {path} that LIFEBOAT_CONNECTIONS names")


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        # Not chained: the decoder's error quotes the document, which holds passwords.
        raise LifeboatError(f"{where} is not JSON (line {error.lineno}, column {error.colno})") from None
    if not isinstance(value, dict):
        raise LifeboatError(f"{where} must be a JSON object")
    return value


def _parsed(connection_id: str, value: Mapping[str, Any]) -> ConnectionInfo:
    extra = value.get("extra") or {}
    if isinstance(extra, str):
        extra = _object(extra, f"the extra of connection {connection_id!r}")
    port = value.get("port")
    return ConnectionInfo(
        id=connection_id,
        host=value.get("host") or "",
        port=int(port) if port else None,
        login=value.get("login") or "",
        password=value.get("password") or "",
        schema=value.get("schema") or "",
        extra=extra,
    )
