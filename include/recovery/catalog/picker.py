"""From a wish in words to one backup.

newest                                 the newest that is not damaged
newest identical                       ... that a drill found identical (or any other level, or better)
newest before 2026-11-21T08:00+01:00   ... whose data is of that moment or older
newest identical before 2026-...       both
20261121T070003Z-5fb0                  exactly this one
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

from include.recovery.catalog.model import Backup, ProofLevel
from include.recovery.errors import BackupNotFound

_Row = TypeVar("_Row", bound=Backup)

_WISH = re.compile(r"newest(?: (?P<level>[a-z]+))?(?: (?:at or )?before (?P<before>\S+))?")
_SHOWN = 5


class Choice(NamedTuple, Generic[_Row]):
    """What was picked, and which newer ones were passed over, with reasons."""

    backup: _Row
    skipped: tuple[str, ...]


def pick(backups: Sequence[_Row], wish: str, now: datetime) -> _Row:
    """The backup that a wish names.

    :param now: backups from the future are left out, as a clock that is wrong makes them.
    :raises BackupNotFound: when none fits, saying which were skipped and why.
    """
    return choose(backups, wish, now).backup


def choose(backups: Sequence[_Row], wish: str, now: datetime, *, what: str = "the catalog") -> Choice[_Row]:
    """Like ``pick``, and tells what was skipped.

    :param what: whose backups these are, for messages.
    """
    wish = " ".join(wish.split())
    match = _WISH.fullmatch(wish)
    if match is None:
        return _exactly(backups, wish, what)
    level = _level(match["level"])
    before = parse_moment(match["before"]) if match["before"] else now
    skipped: list[str] = []
    for backup in sorted(backups, key=lambda row: (row.manifest.snapshot_at, row.manifest.id), reverse=True):
        if backup.manifest.snapshot_at > before:
            continue
        reason = _unfit(backup, level)
        if reason is None:
            return Choice(backup, tuple(skipped))
        skipped.append(f"{backup.manifest.id}: {reason}")
    raise BackupNotFound(_nothing(backups, wish, what, skipped, before))


def _exactly(backups: Sequence[_Row], backup_id: str, what: str) -> Choice[_Row]:
    for backup in backups:
        if backup.manifest.id == backup_id:
            reason = _unfit(backup, ProofLevel.STORED)
            if reason is not None:
                raise BackupNotFound(f"backup {backup.manifest.name} is unfit: {reason}; pick another recovery point")
            return Choice(backup, ())
    levels = ", ".join(ProofLevel)
    raise BackupNotFound(
        f"{what} has no backup {backup_id!r}; ask for an id from the list, 'newest', 'newest <level>' ({levels}), or "
        "'newest before <time with zone>'"
    )


def _unfit(backup: Backup, level: ProofLevel) -> str | None:
    """Why a backup cannot be used; None when it can."""
    if backup.damaged:
        failed = backup.damage_in(backup.store) if backup.store else None
        failed = failed or max((p for p in backup.proofs if not p.ok), key=lambda proof: proof.at)
        return f"its copy in {failed.store} is damaged ({failed.detail}, found {failed.at:%Y-%m-%d %H:%M %Z})"
    if backup.level.rank < level.rank:
        return f"it is {backup.level}, not {level}"
    return None


def _level(word: str | None) -> ProofLevel:
    if word is None:
        return ProofLevel.STORED
    try:
        return ProofLevel(word)
    except ValueError:
        raise BackupNotFound(f"'newest {word}' is no wish; levels are {', '.join(ProofLevel)}") from None


def parse_moment(text: str) -> datetime:
    """A moment out of a wish.

    :raises BackupNotFound: when it is none, or has no time zone.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BackupNotFound(f"{text!r} is no time; write it like 2026-11-21T08:00:00+01:00") from None
    if moment.tzinfo is None:
        raise BackupNotFound(f"{text!r} has no time zone; write it like {text}+01:00, or {text}Z for UTC")
    return moment


def _nothing(backups: Sequence[Backup], wish: str, what: str, skipped: list[str], before: datetime) -> str:
    if not backups:
        return f"{what} has no backups; run one first"
    if not skipped:
        oldest = min(backup.manifest.snapshot_at for backup in backups)
        return f"{what} has no backup from {before.isoformat()} or earlier; the oldest is from {oldest.isoformat()}"
    more = f"; and {len(skipped) - _SHOWN} more" if len(skipped) > _SHOWN else ""
    return f"{what} has no backup that is {wish!r}; skipped {'; '.join(skipped[:_SHOWN])}{more}"
