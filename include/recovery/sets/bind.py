"""Which recovery points go together: those of one moment, or the nearest before it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from include.recovery.catalog.layout import new_id
from include.recovery.catalog.model import Backup
from include.recovery.errors import BackupNotFound
from include.recovery.evidence.words import duration
from include.recovery.sets.model import Member, RecoverySet


@dataclass(frozen=True)
class Candidates:
    """What one source could come back to.

    :param backups: all that the store has of it.
    :param anchor: whether the others are taken as of its moment: a database.
    :param continuous: whether its versions lead to any moment.
    :param unchanged: until when it was seen to hold what a backup holds, by that backup's id.
    :param rpo: a member that is older than its set by more is told.
    """

    source: str
    backups: Sequence[Backup]
    anchor: bool = False
    continuous: bool = False
    unchanged: Mapping[str, datetime] | None = None
    rpo: timedelta = timedelta.max


def bind(
    system: str, store: str, sources: Sequence[Candidates], *, before: datetime, now: datetime, by: str
) -> RecoverySet:
    """The newest set whose moment is not after another.

    :raises BackupNotFound: when no source has a usable backup by then.
    """
    usable = {
        each.source: sorted(
            (b for b in each.backups if not b.damaged and b.manifest.snapshot_at <= before),
            key=lambda b: (b.manifest.snapshot_at, b.manifest.id),
        )
        for each in sources
    }
    at = _moment(sources, usable, before)
    members, lacking, notes = [], {}, []
    for each in sources:
        # Versions lead back to any moment, also from a backup that is younger: the youngest knows most of them.
        fitting = [b for b in usable[each.source] if each.continuous or b.manifest.snapshot_at <= at]
        if not fitting:
            lacking[each.source] = _why_lacking(each, usable[each.source], at)
            continue
        member = _member(each, fitting[-1], store, at)
        members.append(member)
        if at - member.at > each.rpo:
            notes.append(
                f"{each.source} comes back as of {duration(at - member.at)} before the others, its RPO is "
                f"{duration(each.rpo)}"
            )
    return RecoverySet(
        system=system, id=new_id(now), at=at, made_at=now, made_by=by, members=tuple(members), lacking=lacking,
        notes=tuple(notes),
    )  # fmt: skip


def _moment(
    sources: Sequence[Candidates], usable: Mapping[str, Sequence[Backup]], before: datetime
) -> datetime:
    """That of the databases' newest backups, the older one of several; without any, the newest of all sources."""
    anchors = [usable[each.source][-1].manifest.snapshot_at for each in sources if each.anchor and usable[each.source]]
    if anchors:
        return min(anchors)
    newest = [backups[-1].manifest.snapshot_at for backups in usable.values() if backups]
    if not newest:
        raise BackupNotFound(f"no source has an undamaged backup of {before.isoformat()} or older")
    return max(newest)


def _member(each: Candidates, backup: Backup, store: str, at: datetime) -> Member:
    facts = backup.manifest
    seen = (each.unchanged or {}).get(facts.id)
    common = {
        "source": each.source, "kind": facts.kind, "backup": facts.id, "store": store, "lsn": facts.lsn,
        "level": backup.level_in(store),
    }  # fmt: skip
    if each.continuous:
        return Member.model_validate(common | {"how": "moment", "at": at})
    if seen is not None and seen > facts.snapshot_at:
        return Member.model_validate(common | {"how": "unchanged", "at": min(seen, at)})
    return Member.model_validate(common | {"how": "backup", "at": facts.snapshot_at})


def _why_lacking(each: Candidates, usable: Sequence[Backup], at: datetime) -> str:
    if usable:
        return f"its oldest undamaged backup is {duration(usable[0].manifest.snapshot_at - at)} younger than the set"
    if each.backups:
        return "none of its backups is undamaged and old enough"
    return "it has no backup"
