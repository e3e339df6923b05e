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
from include.recovery.policy.durations import (
    ALLOWED,
    PATTERN,
    WAIT_ALLOWED,
    WAIT_PATTERN,
    parse_duration,
    parse_wait,
    print_duration,
    print_wait,
)
from include.recovery.policy.sizes import ALLOWED as SIZE_ALLOWED
from include.recovery.policy.sizes import PATTERN as SIZE_PATTERN
from include.recovery.policy.sizes import parse_size, print_size


class PolicyModel(BaseModel):
    """Base of every policy model: unchangeable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _to_duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        return parse_duration(value)
    raise ValueError(f"found {value!r}; a duration is text: {ALLOWED}")


def _to_wait(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        return parse_wait(value)
    raise ValueError(f"found {value!r}; a short wait is text: {WAIT_ALLOWED}")


def _to_size(value: Any) -> int:
    if isinstance(value, str):
        return parse_size(value)
    raise ValueError(f"found {value!r}; a size is text: {SIZE_ALLOWED}")


def at_least(minimum: timedelta) -> AfterValidator:
    """For a ``Duration`` that must not be shorter than this; for one that may be left out, when it is given."""

    def check(value: timedelta | None) -> timedelta | None:
        if value is not None and value < minimum:
            raise ValueError(f"found {print_duration(value)!r}; allowed is at least {print_duration(minimum)}")
        return value

    return AfterValidator(check)


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

Wait = Annotated[
    timedelta,
    BeforeValidator(_to_wait),
    PlainSerializer(print_wait, return_type=str),
    WithJsonSchema({"type": "string", "pattern": WAIT_PATTERN, "minLength": 2}),
]
"""A short wait, exact to the millisecond, written ``200ms``."""

Size = Annotated[
    int,
    BeforeValidator(_to_size),
    PlainSerializer(print_size, return_type=str),
    WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN}),
]
"""A number of bytes, written ``512MiB``, ``1GiB``."""

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
