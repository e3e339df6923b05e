"""Which key is what. ``docs/format.md`` shows the same as a tree."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime

MANIFEST = "manifest.json"
CATALOG_PREFIX = "_catalog/"
INDEX_PREFIX = f"{CATALOG_PREFIX}index/"

_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{4,}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def new_id(now: datetime) -> str:
    """A backup's id: sorts by time, and two begun in the same second differ."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def source_prefix(system: str, source: str, kind: str) -> str:
    """Where all backups of one kind of one source are.

    :raises ValueError: when a name would break the layout.
    """
    for name in (system, source, kind):
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name: use letters, digits, dots, dashes and underscores")
    return f"{system}/{source}/{kind}/"


def backup_prefix_of(key: str) -> str | None:
    """The backup that a key belongs to; None for leases, evidence and the catalog's own objects."""
    parts = key.split("/", 4)
    if len(parts) == 5 and _ID.fullmatch(parts[3]) and not key.startswith(CATALOG_PREFIX):
        return "/".join(parts[:4]) + "/"
    return None


def timed_key(folder: str, at: datetime) -> str:
    """Key of a record that is appended to a folder: sorts by time, never collides."""
    return f"{folder}{at.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(2)}.json"
