"""The WAL archive: what the replay proof and the hourly check last found in it, and whether they look at all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from include.recovery.catalog.archive_proofs import ArchiveProof
from include.recovery.concerns import Concern, Severity
from include.recovery.evidence.words import moment
from include.recovery.policy.durations import print_duration
from include.recovery.watchdog.look import Subject

CHECK_EVERY = timedelta(hours=1)
"""The rhythm of ``wal_archive__<system>``."""
_MISSED = 3
"""So many looks may be missing before somebody is told."""


def archive(subject: Subject) -> Iterator[Concern]:
    """What is wrong with a source's archives, of each store."""
    system, source = subject.system, subject.source
    stores = system.repository_stores(source)
    if source.wal is None or not stores:
        return
    for store in stores:
        proof = subject.look.archive_proof(system.system, source.name, store, "check")
        yield from _told(proof, store)
        what, dag = f"WAL archive of store {store}", f"wal_archive__{system.system}"
        yield from _silent(subject, proof, CHECK_EVERY, what, dag)
    if source.wal.replay_proof is not None:
        proof = subject.look.archive_proof(system.system, source.name, stores[0], "replay")
        yield from _told(proof, stores[0])
        what = f"replay of the WAL archive of store {stores[0]}"
        yield from _silent(subject, proof, source.wal.replay_proof, what, f"replay_proof__{system.system}")


def _told(proof: ArchiveProof | None, store: str) -> Iterator[Concern]:
    """What a look has found; its cause says in which store, and not who found it: both may find the same."""
    for concern in proof.concerns if proof else ():
        yield Concern(concern.severity, f"{concern.cause} in {store}", concern.sentence)


def _silent(
    subject: Subject, proof: ArchiveProof | None, interval: timedelta, what: str, dag: str
) -> Iterator[Concern]:
    """Nobody has looked for too long."""
    last: datetime = max(proof.at if proof else subject.known_since("source"), subject.known_since("source"))
    if subject.now - last <= _MISSED * interval:
        return
    since = f"since {moment(proof.at, subject.system.time_zone)}" if proof else "ever"
    yield Concern(
        Severity.WARNING, dag,
        f"{subject.name}: the {what} was not looked at {since}, every {print_duration(interval)} is agreed; see why "
        f"DAG {dag} does not run or fails",
    )
