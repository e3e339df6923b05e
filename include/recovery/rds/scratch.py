"""A snapshot restored to an instance of its own, asked, and taken away again. The original is never touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic

from include.recovery.catalog.model import ManagedCopy
from include.recovery.errors import BackupCorrupt, Refused, SourceError, SourceUnavailable
from include.recovery.evidence.model import Check, Outcome
from include.recovery.policy.models import Validation
from include.recovery.postgres.server import PostgresServer
from include.recovery.rds.failures import NotThere, ThereAlready
from include.recovery.rds.names import SCRATCH
from include.recovery.rds.region import Region
from include.recovery.rds.snapshots import Instance
from include.recovery.rds.waiting import Waiting
from include.recovery.runbook.questions import ask

ASKED = "the restored instance takes logins"
"""Name of the check that stands for all questions when nobody can log in."""


@dataclass(frozen=True)
class ScratchInstance:
    """A restored snapshot.

    :param store: whose snapshot it was made of.
    :param host: where it takes connections; None when the service does not tell.
    :param seconds: from the request until it was available.
    """

    identifier: str
    region: str
    store: str
    host: str | None
    port: int
    seconds: float

    @property
    def where(self) -> str:
        """For messages."""
        return f"RDS instance {self.identifier} in {self.region}"


def restore(
    copy: ManagedCopy, region: Region, identifier: str, tags: Mapping[str, str], waiting: Waiting
) -> ScratchInstance:
    """Restore a snapshot to a scratch instance, and wait until it is available. A retry finds what it has begun.

    :raises BackupCorrupt: when the snapshot is gone.
    :raises Refused: when the identifier is that of an instance which is no scratch instance.
    :raises SourceError: when it failed, or came up open to the public: then it is removed again.
    """
    began = monotonic()
    there = region.instance(identifier)
    if there is None:
        try:
            region.restore(copy.identifier, identifier, tags)
        except NotThere as error:
            raise BackupCorrupt(
                f"RDS snapshot {copy.identifier} in {copy.region} is gone, so nothing can be restored from it; pick "
                "another recovery point"
            ) from error
        except ThereAlready:
            there = region.instance(identifier)
    if there is not None:
        _require_scratch(there)
    made = waiting.for_instance(region, identifier)
    if made.public:
        discard(region, identifier)
        raise SourceError(
            f"{made.where} came up open to the public, so it was removed at once; see why the service made it so"
        )
    return ScratchInstance(
        identifier, region.name, copy.store, made.host, made.port, round(monotonic() - began, 3)
    )


def discard(region: Region, identifier: str) -> None:
    """Remove a scratch instance. Nothing there is fine.

    :raises Refused: when it does not carry the tag of a scratch instance: that is never removed.
    """
    found = region.instance(identifier)
    if found is None or found.status == "deleting":
        return
    _require_scratch(found)
    region.delete_instance(identifier)


def is_scratch(instance: Instance) -> bool:
    """Whether an instance was made by a drill. A tag that was copied from another instance does not count."""
    return instance.tags.get(SCRATCH) == instance.identifier


def questions(scratch: ScratchInstance, like: PostgresServer, asked: Sequence[Validation], source: str) -> list[Check]:
    """Put the system's own questions to a restored instance.

    :param like: the database of the portable source: the copy has its roles, passwords and databases.
    :return: what came out; when the instance cannot be reached from here, one skipped check that says why.
    """
    why = "the service names no endpoint"
    if scratch.host is not None:
        try:
            return ask(replace(like, host=scratch.host, port=scratch.port), asked, source=source)
        except SourceUnavailable as error:
            why = str(error)
        except SourceError as error:
            return [Check(name=ASKED, outcome=Outcome.FAILED, source=source, expected="a login", found=str(error))]
    return [
        Check(name=ASKED, outcome=Outcome.SKIPPED, source=source, required=False, expected="a login", found=why)
    ]


def _require_scratch(instance: Instance) -> None:
    if not is_scratch(instance):
        raise Refused(
            f"{instance.where} does not carry the tag {SCRATCH} with its own name, so it is no scratch instance of "
            "Lifeboat; it is left alone"
        )
