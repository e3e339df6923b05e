"""Should a backup start now, or would it hurt: replicas lag, sessions queue? Pure.

A backup that waits for ever protects nothing: patience ends, and then it runs, with a note.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from include.recovery.postgres.replication_state import PrimaryState
from include.recovery.postgres.standby import StandbyReport

_FIRST, _LONGEST = timedelta(minutes=1), timedelta(minutes=15)


@dataclass(frozen=True)
class Load:
    """How much a server may have to do when a backup begins.

    :param replica_bytes: that any replica may be behind.
    :param queued: sessions that may wait for locks.
    :param connections: share of the connections that may be in use.
    :param active: sessions that may be at work at once; None for no limit.
    :param patience: how long a backup may be put off altogether.
    """

    replica_bytes: int = 256 * 1024**2
    queued: int = 10
    connections: float = 0.9
    active: int | None = None
    patience: timedelta = timedelta(hours=1)


@dataclass(frozen=True)
class Advice:
    """Whether to start.

    :param wait: ask again after this; None: start now.
    :param reasons: what speaks against it; with ``wait`` None, what is put up with because patience has ended.
    """

    wait: timedelta | None
    reasons: tuple[str, ...] = ()

    @property
    def start(self) -> bool:
        """Whether to start now."""
        return self.wait is None

    @property
    def in_words(self) -> str:
        """For the log and the run's note."""
        why = "; ".join(self.reasons)
        if self.wait is not None:
            return f"the backup waits {self.wait.total_seconds():.0f} s: {why}"
        return f"the backup starts although {why}: it was put off long enough" if why else "nothing is in the way"


def advise(
    primary: PrimaryState,
    load: Load | None = None,
    *,
    put_off: timedelta = timedelta(0),
    standby: StandbyReport | None = None,
) -> Advice:
    """Whether a backup should start.

    :param put_off: how long this backup has waited already.
    :param standby: the one that the files are read from; None for a backup from the primary.
    """
    load = load or Load()
    reasons = []
    for replica in primary.replicas:
        behind = None if replica.replayed is None else primary.position - replica.replayed
        if behind is not None and behind > load.replica_bytes:
            reasons.append(
                f"replica {replica.name} is {_mib(behind)} behind, {_mib(load.replica_bytes)} are allowed"
            )
    if primary.queued > load.queued:
        reasons.append(f"{primary.queued} sessions wait for locks, {load.queued} are allowed")
    if primary.sessions > primary.connections * load.connections:
        reasons.append(
            f"{primary.sessions} of {primary.connections} connections are in use, {load.connections:.0%} are allowed"
        )
    if load.active is not None and primary.active > load.active:
        reasons.append(f"{primary.active} sessions are at work, {load.active} are allowed")
    if standby is not None and standby.why_not:
        # pgBackRest would wait for the standby to replay the backup's beginning, and then give up.
        reasons.append(f"the standby that is to be read is not fit: {standby.why_not[0]}")
    if not reasons or put_off >= load.patience:
        return Advice(None, tuple(reasons))
    wait = min(max(put_off, _FIRST), _LONGEST, load.patience - put_off)
    return Advice(wait, tuple(reasons))


def _mib(size: int) -> str:
    return f"{size / 1024**2:,.0f} MiB"
