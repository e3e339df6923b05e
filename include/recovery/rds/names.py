"""Identifiers and tags by which a snapshot or an instance says whose it is. All functions here are pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_rds.type_defs import TagTypeDef

SYSTEM, SOURCE, TIER, RUN, BEGUN = (
    f"lifeboat-{name}" for name in ("system", "source", "tier", "run", "begun")
)
SCRATCH = "lifeboat-scratch"
"""Only a scratch instance has this tag; its value is the instance's own identifier, so that a copied tag is none."""
BY_HAND = "by-hand"
"""The tier of a snapshot that somebody asked for."""

_PREFIX = "lifeboat"
_ID_BYTES = 10
_FORBIDDEN = re.compile(r"[^A-Za-z0-9 +\-=._:/@]")
_LONGEST_VALUE = 256


def snapshot_identifier(system: str, source: str, tier: str | None, run_id: str) -> str:
    """The identifier of a run's snapshot: the same for every try of the run, another for every other run."""
    return f"{_PREFIX}-{system}-{source}-{_digest(system, source, tier or BY_HAND, run_id)}"


def scratch_identifier(backup: str, store: str, run_id: str) -> str:
    """The identifier of a run's scratch instance; a retry finds its own. Instances have 63 characters at most."""
    return f"{_PREFIX}-scratch-{_digest(backup, store, run_id)}"


def snapshot_tags(
    system: str, source: str, tier: str | None, run_id: str, begun: datetime, more: Mapping[str, str]
) -> dict[str, str]:
    """What a snapshot says of itself.

    :param begun: when it was asked for: it holds everything that was committed before.
    :param more: the policy's own; they cannot stand in for these.
    """
    own = {SYSTEM: system, SOURCE: source, TIER: tier or BY_HAND, RUN: run_id, BEGUN: begun.astimezone(UTC).isoformat()}
    return {**more, **{key: _value(value) for key, value in own.items()}}


def scratch_tags(system: str, source: str, instance: str, run_id: str, more: Mapping[str, str]) -> dict[str, str]:
    """What a scratch instance says of itself."""
    own = {SYSTEM: system, SOURCE: source, SCRATCH: instance, RUN: run_id}
    return {**more, **{key: _value(value) for key, value in own.items()}}


def is_ours(tags: Mapping[str, str], system: str, source: str) -> bool:
    """Whether tags say that Lifeboat made it for this source."""
    return (tags.get(SYSTEM), tags.get(SOURCE)) == (system, source)


def own_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Those that people can set; the service's own begin with ``aws:``."""
    return {key: value for key, value in tags.items() if not key.startswith("aws:")}


def begun_at(tags: Mapping[str, str]) -> datetime | None:
    """When a snapshot was asked for; None when its tags do not say."""
    try:
        moment = datetime.fromisoformat(tags.get(BEGUN, ""))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def tier_of(tags: Mapping[str, str]) -> str | None:
    """The tier that a snapshot was made for; None when somebody asked for it."""
    tier = tags.get(TIER, BY_HAND)
    return None if tier == BY_HAND else tier


def as_list(tags: Mapping[str, str]) -> list[TagTypeDef]:
    """Tags as the service takes them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[: 2 * _ID_BYTES]


def _value(text: str) -> str:
    """What a tag may hold."""
    return _FORBIDDEN.sub("_", text)[:_LONGEST_VALUE]
