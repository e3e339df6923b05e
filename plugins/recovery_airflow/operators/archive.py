"""The WAL archive, watched: replayed by a standby, and looked through for holes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.recovery.concerns import Severity
from include.recovery.errors import BackupCorrupt
from include.recovery.evidence.words import duration, plural
from include.recovery.pgbackrest.archive_watch import check_wal, prove_replay
from recovery_airflow.operators.step import RunFacts, StepOperator, now
from recovery_airflow.scratch import scratch_root

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.recovery.catalog.archive_proofs import ArchiveProof
    from include.recovery.policy.models import PostgresSource, ProtectedSystem


class ArchiveNotSound(BackupCorrupt):
    """The WAL archive is not what it must be. What is wrong is kept in the store, and the watchdog tells it once."""

    alerted = True


class ReplayProofOperator(StepOperator):
    """Asks the standby that replays a source's WAL archive how far it is, and starts it when it does not run.

    The standby outlives the task. The run is red while a segment is missing, damaged, of another timeline, or late; the
    alert comes from the watchdog, once for each cause.

    :param source: name of the source in the policy.
    """

    template_fields: Sequence[str] = ("system", "source")
    required = ("system", "source")
    ui_color = "#dfe6f5"

    def __init__(self, *, source: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        system = self.workspace.system(self.system)
        source = system.database(self.source)
        folder = replay_folder(system, source)
        proof = prove_replay(self.workspace, system, source, folder, by=run.started_by, stop=self.stop)
        self.require_sound(proof)
        if proof.lsn is None:
            told = "; ".join(concern.sentence for concern in proof.concerns)
        else:
            lost = "unknown" if proof.recoverable_at is None else duration(now() - proof.recoverable_at)
            told = (
                f"every segment of {self.source} in {proof.store} is replayed to LSN {proof.lsn}, "
                f"{plural(proof.waiting, 'segment')} wait, the last commit is {lost} old"
            )
        return {"lsn": proof.lsn, "waiting": proof.waiting, "sentence": told}

    def require_sound(self, proof: ArchiveProof) -> None:
        """Nothing for a sound archive.

        :raises ArchiveNotSound: with every finding that somebody has to act on.
        """
        for concern in proof.concerns:
            self.log.warning("%s: %s", concern.severity.name.lower(), concern.sentence)
        told = [concern.sentence for concern in proof.concerns if concern.severity > Severity.NOTE]
        if told:
            raise ArchiveNotSound("; ".join(told))


class WalArchiveCheckOperator(StepOperator):
    """Closes a WAL segment and sees it arrive in every repository, then looks through one store's archive for holes.

    Damaged, empty, foreign and missing segments are named; the newest are opened. The run is red for each of them; the
    alert comes from the watchdog, once for each cause.

    :param source: name of the source in the policy.
    :param store: whose archive.
    """

    template_fields: Sequence[str] = ("system", "source", "store")
    required = ("system", "source", "store")
    ui_color = "#dfe6f5"

    def __init__(self, *, source: str, store: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.store = store

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        system = self.workspace.system(self.system)
        proof = check_wal(self.workspace, system, system.database(self.source), self.store, stop=self.stop)
        for concern in proof.concerns:
            self.log.warning("%s: %s", concern.severity.name.lower(), concern.sentence)
        if proof.concerns:
            raise ArchiveNotSound("; ".join(concern.sentence for concern in proof.concerns))
        return {"sentence": f"WAL of {self.source} reaches every repository; the archive in {self.store} has no hole"}


def replay_folder(system: ProtectedSystem, source: PostgresSource) -> Path:
    """The folder of a source's replaying standby: the same for every run, and short because of its socket."""
    return scratch_root() / f"replay-{hashlib.sha256(system.stanza(source).encode()).hexdigest()[:8]}"
