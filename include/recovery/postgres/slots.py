"""Replication slots: do they hold what their consumers need, and can one fill the primary's disk? Pure."""

from __future__ import annotations

from collections.abc import Sequence

from include.recovery.concerns import Concern, Severity
from include.recovery.postgres.replication_state import Slot


def judge_slots(
    slots: Sequence[Slot], *, where: str, limit: int | None, free_bytes: int | None = None
) -> tuple[Concern, ...]:
    """What is wrong with a primary's slots.

    :param where: the server, for messages.
    :param limit: bytes of WAL that a slot may keep; None without a limit.
    :param free_bytes: of the disk of pg_wal, where it is known.
    """
    concerns = [concern for slot in slots for concern in _one(slot, where, limit, free_bytes)]
    if slots and limit is None:
        concerns.append(Concern(
            Severity.WARNING, "slot limit",
            f"{where}: max_slot_wal_keep_size is -1, so a slot whose consumer is gone keeps WAL until the disk is full "
            "and the server stops; set a limit below the free space of pg_wal",
        ))
    elif slots and limit is not None and free_bytes is not None and limit > free_bytes + _most_kept(slots):
        concerns.append(Concern(
            Severity.WARNING, "slot limit",
            f"{where}: slots may keep {_mib(limit)} of WAL (max_slot_wal_keep_size), and the disk of pg_wal has only "
            f"{_mib(free_bytes)} free: it would be full first; lower the limit or make room",
        ))
    return tuple(concerns)


def _one(slot: Slot, where: str, limit: int | None, free_bytes: int | None) -> list[Concern]:
    cause, kept = f"slot {slot.name}", slot.kept_bytes or 0
    if slot.wal_status == "lost":
        return [Concern(
            Severity.CRITICAL, cause,
            f"{where}: replication slot {slot.name} has lost WAL that its consumer needs, which cannot go on: build "
            "the standby anew (or let it catch up from the archive), and drop the slot",
        )]
    if slot.wal_status == "unreserved":
        return [Concern(
            Severity.CRITICAL, cause,
            f"{where}: replication slot {slot.name} is beyond max_slot_wal_keep_size and loses its WAL at the next "
            "checkpoint; bring its consumer back now, or raise the limit where the disk allows it",
        )]
    if slot.active:
        if slot.safe_bytes is not None and limit and slot.safe_bytes < limit // 4:
            return [Concern(
                Severity.WARNING, cause,
                f"{where}: the consumer of replication slot {slot.name} is {_mib(kept)} behind, and {_mib(limit)} are "
                "allowed before its WAL is dropped; see what slows it",
            )]
        return []
    if slot.wal_status is None and slot.kept_bytes is None:
        return [Concern(
            Severity.NOTE, cause,
            f"{where}: replication slot {slot.name} was never used; drop it unless its consumer is still to come",
        )]
    fills = limit is None and free_bytes is not None and kept > free_bytes
    until = (
        f"{_mib(slot.safe_bytes)} more may be written before it is dropped" if slot.safe_bytes is not None
        else "nothing limits how much that becomes"
    )
    return [Concern(
        Severity.CRITICAL if fills else Severity.WARNING, cause,
        f"{where}: nobody reads replication slot {slot.name}, for which {_mib(kept)} of WAL are kept; {until}: bring "
        "its consumer back, or drop the slot",
    )]


def _most_kept(slots: Sequence[Slot]) -> int:
    return max((slot.kept_bytes or 0 for slot in slots), default=0)


def _mib(size: int) -> str:
    return f"{size / 1024**2:,.0f} MiB"
