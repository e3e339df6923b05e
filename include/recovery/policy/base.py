"""The frozen model that every policy model builds on, and the small types they share."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from include.recovery.policy.cron import check_cron
from include.recovery.policy.durations import ALLOWED, PATTERN, parse_duration, print_duration


class PolicyModel(BaseModel):
    """Base of every policy model: unchangeable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _to_duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        return parse_duration(value)
    raise ValueError(f"found {value!r}; a duration is text: {ALLOWED}")


def _check_time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError(
            f"found {value!r}; allowed is a name of the IANA time zones, such as 'Europe/Berlin'"
        ) from None
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(_to_duration),
    PlainSerializer(print_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": PATTERN, "minLength": 2}),
]
"""A length of time, written ``15m``, ``1h30m``, ``30d``."""

Cron = Annotated[str, AfterValidator(check_cron), WithJsonSchema({"type": "string", "format": "cron"})]
"""Five cron fields, in the system's time zone."""

TimeZone = Annotated[str, AfterValidator(_check_time_zone), WithJsonSchema({"type": "string", "format": "time-zone"})]
"""An IANA time zone."""

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=40)]
"""A name that goes into DAG ids and object keys: lower case, digits, single hyphens."""

Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$", max_length=60)]
"""A name with underscores: roles, connection ids."""

Line = Annotated[str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True)]
"""Text for people; never empty."""
