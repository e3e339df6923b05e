"""The base of everything that is stored."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Base of everything stored: unchangeable, and strict about what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")
