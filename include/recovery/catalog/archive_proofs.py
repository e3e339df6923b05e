"""What was last found out about the WAL archive of a source: by replaying it, or by looking through it.

One object for each store and way of looking, replaced by each look: ``<system>/<source>/archive/<by>-<store>.json``. It
says until when the archive is known to lead, and what is wrong with it, so that the watchdog tells each cause once.
"""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, ValidationError

from include.recovery.catalog.latest import put_latest
from include.recovery.catalog.layout import source_prefix
from include.recovery.catalog.model import Record
from include.recovery.concerns import Concern, Severity
from include.recovery.errors import ObjectMissing
from include.recovery.stores.port import ObjectStore

By = Literal["replay", "check"]


class Found(Record):
    """A concern, as it is stored."""

    severity: int
    cause: str
    sentence: str

    @property
    def concern(self) -> Concern:
        """What it was."""
        return Concern(Severity(self.severity), self.cause, self.sentence)


class ArchiveProof(Record):
    """One look.

    :param by: ``replay``: a standby replays it; ``check``: it was looked through for holes.
    :param at: when.
    :param recoverable_at: the last commit that was replayed; None when that is not known.
    :param lsn: every segment up to here was fetched and replayed.
    :param waiting: segments that were archived and not replayed.
    :param since: when the standby began; None for a check.
    :param caught_up_at: when it had first replayed everything; None until then.
    """

    schema_version: Literal[1] = 1
    system: str
    source: str
    store: str
    by: By
    at: AwareDatetime
    recoverable_at: AwareDatetime | None = None
    lsn: str | None = None
    waiting: int = 0
    since: AwareDatetime | None = None
    caught_up_at: AwareDatetime | None = None
    proven_from: str | None = None
    found: tuple[Found, ...] = ()

    @property
    def concerns(self) -> tuple[Concern, ...]:
        """What is wrong; empty when all is well."""
        return tuple(each.concern for each in self.found)


class ArchiveProofs:
    """The newest looks, in one store.

    :param deleter: the store with credentials that may delete versions, so that old looks do not pile up; None: these.
    """

    def __init__(self, store: ObjectStore, deleter: ObjectStore | None = None) -> None:
        self._store = store
        self._deleter = deleter or store

    def newest(self, system: str, source: str, store: str, by: By) -> ArchiveProof | None:
        """The last look at one archive; None when nobody looked, or what was written cannot be read.

        :raises StoreUnavailable: when the store does not answer.
        """
        try:
            return ArchiveProof.model_validate_json(self._store.get(_key(system, source, store, by))[0])
        except (ObjectMissing, ValidationError):
            return None

    def keep(self, proof: ArchiveProof) -> None:
        """Put a look in the place of the one before it.

        :raises StoreUnavailable: when the store does not answer.
        """
        key = _key(proof.system, proof.source, proof.store, proof.by)
        put_latest(self._store, key, proof.model_dump_json(indent=1).encode(), self._deleter)


def found(concerns: tuple[Concern, ...]) -> tuple[Found, ...]:
    """Concerns, to be stored."""
    return tuple(Found(severity=int(each.severity), cause=each.cause, sentence=each.sentence) for each in concerns)


def _key(system: str, source: str, store: str, by: By) -> str:
    return f"{source_prefix(system, source, 'archive')}{by}-{store}.json"
