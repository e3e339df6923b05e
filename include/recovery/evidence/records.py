"""What plans, approvals and reports have in common: one strict record, one canonical form, one digest."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


Instant = Annotated[AwareDatetime, AfterValidator(_utc)]
"""A moment, kept in UTC so that equal moments have equal digests."""


class Record(BaseModel):
    """Base of everything stored here: unchangeable, and strict about what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def canonical(value: BaseModel | dict[str, Any]) -> bytes:
    """The one JSON text of a record: sorted keys, no spaces, UTF-8. Digests and signatures are taken over it."""
    data = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(value: BaseModel | dict[str, Any]) -> str:
    """SHA-256 of the canonical form, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()


def pretty(value: BaseModel | dict[str, Any]) -> bytes:
    """The same JSON for people: indented, keys in the order of the model, ending in a newline."""
    data = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return (json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def key_text(text: str) -> str:
    """A run id (or any name) as one segment of an object key.

    Readable where it can be: other characters than letters, digits and ``._=-`` become ``_``, and then eight digits of
    a hash keep two different names apart.
    """
    plain = re.sub(r"[^A-Za-z0-9._=-]", "_", text)
    if plain == text and text.strip("."):
        return text
    return f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def key_time(moment: datetime) -> str:
    """A moment as the sortable beginning of a key, such as ``20261121T085700Z``."""
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
