"""What is reachable, which recovery points exist, and what each would lose."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from include.recovery.catalog.model import Backup, ProofLevel
from include.recovery.errors import LifeboatError
from include.recovery.evidence.records import Instant, Record
from include.recovery.evidence.words import duration, listed, moment, plural


class Reached(Record):
    """Whether one thing that a recovery needs answered.

    :param what: such as ``store primary`` or ``server of main-db``.
    :param detail: what it said, or why it did not answer.
    """

    what: str
    ok: bool
    detail: str


class RecoveryPoint(Record):
    """One backup as a choice.

    :param loss_seconds: what choosing it loses, counted from the moment of the assessment.
    :param usable: whether it may be chosen.
    :param reason: why not, when it is not.
    """

    backup: str
    kind: str
    tier: str | None
    snapshot_at: Instant
    level: ProofLevel
    proven_at: Instant | None
    loss_seconds: float
    usable: bool = True
    reason: str = ""


class Assessment(Record):
    """The recovery points of one source, newest first, and what answered when it was asked."""

    system: str
    source: str
    at: Instant
    rpo_seconds: float | None
    points: tuple[RecoveryPoint, ...]
    reached: tuple[Reached, ...] = ()

    @property
    def newest(self) -> RecoveryPoint | None:
        """The newest usable point."""
        return next((point for point in self.points if point.usable), None)

    def passed_over(self, chosen: str) -> tuple[str, ...]:
        """One line for each newer point than the chosen one, with the reason why it is not taken."""
        lines = []
        for point in self.points:
            if point.backup == chosen:
                break
            lines.append(f"{point.backup}: {point.reason or 'newer, but another one was asked for'}")
        return tuple(lines)

    def in_words(self, zone: str = "UTC", most: int = 10) -> str:
        """The assessment as a short Markdown text."""
        lines = [f"**{self.system}/{self.source}** at {moment(self.at, zone)}", ""]
        lines += [f"- {r.what}: {'answers' if r.ok else '**does not answer**'} ({r.detail})" for r in self.reached]
        if not self.points:
            lines.append("- **no recovery point exists**")
        for point in self.points[:most]:
            over = self.rpo_seconds is not None and point.loss_seconds > self.rpo_seconds
            loss = f"loses {duration(point.loss_seconds)}" + (" (**over the objective**)" if over else "")
            state = point.level.value if point.usable else f"**not usable**: {point.reason}"
            lines.append(f"- `{point.backup}` of {moment(point.snapshot_at, zone)}: {loss}, {state}")
        if len(self.points) > most:
            lines.append(f"- and {plural(len(self.points) - most, 'older point')}")
        return "\n".join(lines) + "\n"


def assess(
    backups: Sequence[Backup],
    *,
    system: str,
    source: str,
    now: datetime,
    rpo_seconds: float | None = None,
    reached: Sequence[Reached] = (),
) -> Assessment:
    """Look at all backups of a source.

    :param backups: in any order; those of other sources are ignored.
    """
    own = [b for b in backups if (b.manifest.system, b.manifest.source) == (system, source)]
    own.sort(key=lambda backup: (backup.manifest.snapshot_at, backup.manifest.id), reverse=True)
    return Assessment(
        system=system, source=source, at=now, rpo_seconds=rpo_seconds,
        points=tuple(_point(backup, now) for backup in own), reached=tuple(reached),
    )  # fmt: skip


def why_unusable(backup: Backup, now: datetime) -> str:
    """Why a backup cannot be a recovery point; empty when it can."""
    if backup.damaged:
        proof = backup.damage_in(backup.store) or max((p for p in backup.proofs if not p.ok), key=lambda p: p.at)
        what = listed(proof.failures) if proof.failures else proof.detail
        return f"damaged in store {proof.store}: {what} (found by {proof.by})"
    if backup.manifest.snapshot_at > now:
        return "dated in the future; a clock is wrong"
    return ""


def probe(checks: Mapping[str, Callable[[], str]]) -> tuple[Reached, ...]:
    """Ask each thing and note its answer; a failure is a finding here, not an error.

    :param checks: what is asked, and the call that asks it and returns a few words.
    """
    found = []
    for what, ask in checks.items():
        try:
            found.append(Reached(what=what, ok=True, detail=ask()))
        except LifeboatError as error:
            found.append(Reached(what=what, ok=False, detail=str(error)))
    return tuple(found)


def _point(backup: Backup, now: datetime) -> RecoveryPoint:
    manifest = backup.manifest
    reason = why_unusable(backup, now)
    return RecoveryPoint(
        backup=manifest.id, kind=manifest.kind, tier=manifest.tier, snapshot_at=manifest.snapshot_at,
        level=backup.level, proven_at=backup.proven_at,
        loss_seconds=max(0.0, round((now - manifest.snapshot_at).total_seconds(), 3)),
        usable=not reason, reason=reason,
    )  # fmt: skip
