"""A snapshot of a run: made once, whatever dies in between, and copied to the second region."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from include.recovery.errors import Refused, SourceError, SourceUnavailable
from include.recovery.policy.source_kinds.rds import RdsSource
from include.recovery.rds.failures import NotThere, ThereAlready
from include.recovery.rds.names import is_ours, own_tags
from include.recovery.rds.region import Region, no_such_instance
from include.recovery.rds.snapshots import AVAILABLE, FAILED, Snapshot
from include.recovery.rds.waiting import Waiting

_CAN_BE_TAKEN = ("available", "storage-optimization", "stopped")


@dataclass(frozen=True)
class Request:
    """The snapshot that a run asks for; the same for every try of it.

    :param tags: what the snapshot says of itself.
    """

    identifier: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Pair:
    """A snapshot in its two regions."""

    home: Snapshot
    second: Snapshot


def take(system: str, source: RdsSource, request: Request, home: Region, second: Region, waiting: Waiting) -> Pair:
    """The run's snapshot in both regions, available. What an earlier try has begun is gone on with.

    :raises Refused: when a snapshot of that identifier is somebody else's.
    :raises SourceError: when one of them failed or vanished.
    :raises SourceUnavailable: when one is stuck, or the instance is busy.
    """

    def created() -> Snapshot:
        return home.create(source.instance, request.identifier, request.tags)

    _asked(home, request, source, system, created)
    made = waiting.for_snapshot(home, request.identifier)

    def copied() -> Snapshot:
        try:
            return second.copy(made, request.identifier, own_tags(made.tags), source.second.kms_key)
        except NotThere as error:
            raise SourceError(f"{made.where} is gone before it was copied to {second.name}; run again") from error

    _asked(second, request, source, system, copied)
    return Pair(made, waiting.for_snapshot(second, request.identifier))


def found(system: str, source: RdsSource, identifier: str, home: Region, second: Region) -> Pair:
    """The snapshot that somebody else has made and copied, such as the operators of a graph; as ``found_in``."""
    return Pair(*(found_in(region, system, source, identifier) for region in (home, second)))


def found_in(region: Region, system: str, source: RdsSource, identifier: str) -> Snapshot:
    """A snapshot in one region.

    :raises SourceError: when it is not there, or not available: it is not entered in the catalog.
    :raises Refused: when it is not this source's.
    """
    snapshot = region.snapshot(identifier)
    if snapshot is None:
        raise SourceError(
            f"RDS snapshot {identifier} is not in {region.name}, so it is not entered in the catalog; run the backup "
            "again, which goes on with what is there"
        )
    _require_ours(snapshot, system, source)
    if snapshot.status != AVAILABLE:
        raise SourceError(
            f"{snapshot.where} is {snapshot.status}, so it is not entered in the catalog; see the service's events, "
            "and run the backup again"
        )
    return snapshot


def require_ready(region: Region, source: RdsSource) -> str:
    """What is known of the instance, in words, when a snapshot of it can be taken and copied.

    :raises SourceError: naming all that is in the way.
    :raises SourceUnavailable: when it is busy.
    """
    instance = region.instance(source.instance)
    if instance is None:
        raise no_such_instance(region, source.instance)
    wrong = []
    if instance.cluster is not None:
        wrong.append(f"it belongs to the Aurora cluster {instance.cluster}, whose snapshots are of another kind")
    if "postgres" not in instance.engine:
        wrong.append(f"its engine is {instance.engine}, and the policy's 'portable' source is PostgreSQL")
    if instance.encrypted and source.second.kms_key is None:
        wrong.append(f"it is encrypted, and 'second.kms_key' names no key of {source.second.region} for its copies")
    if wrong:
        raise SourceError(f"{instance.where} cannot be protected: {'; '.join(wrong)}; correct the policy")
    if instance.status not in _CAN_BE_TAKEN:
        raise _busy(instance.where, instance.status)
    own = f"the service keeps its own backups {instance.keeps} days" if instance.keeps else (
        "the service's own automatic backups are off"
    )
    encrypted = "encrypted" if instance.encrypted else "not encrypted"
    return f"{instance.where} ({instance.engine} {instance.version}, {encrypted}) is {instance.status}; {own}"


def _asked(region: Region, request: Request, source: RdsSource, system: str, ask: Callable[[], Snapshot]) -> Snapshot:
    """The run's snapshot in a region: found, or asked for now."""
    there = region.snapshot(request.identifier)
    if there is not None:
        _require_ours(there, system, source)
        if there.status != FAILED:
            return there
        region.delete_snapshot(there.identifier)
    try:
        return ask()
    except ThereAlready:
        there = region.snapshot(request.identifier)
        if there is None:
            raise _busy(f"RDS snapshot {request.identifier} in {region.name}", "just being removed") from None
        _require_ours(there, system, source)
        return there


def _require_ours(snapshot: Snapshot, system: str, source: RdsSource) -> None:
    if not is_ours(snapshot.tags, system, source.name) or snapshot.instance != source.instance:
        raise Refused(
            f"{snapshot.where} is of instance {snapshot.instance} and its tags do not say that it is {system}/"
            f"{source.name}'s; nothing is done with it: find out whose it is"
        )


def _busy(what: str, status: str) -> SourceUnavailable:
    return SourceUnavailable(f"{what} is {status}, so no snapshot can be taken now; try again later")
