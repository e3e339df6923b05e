"""Where servers and stores are, and with which credentials: the one shape that all rings pass around."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


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
