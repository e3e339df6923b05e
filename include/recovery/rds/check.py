"""Whether the service still has what an entry of the catalog says."""

from __future__ import annotations

from include.recovery.catalog.model import Facts, ManagedCopy
from include.recovery.rds.records import managed
from include.recovery.rds.region import Region
from include.recovery.rds.snapshots import AVAILABLE


def problems_of(facts: Facts, copy: ManagedCopy, region: Region) -> tuple[str, ...]:
    """What is wrong with a snapshot in one region, a clause each; nothing when it is as it was recorded.

    :raises SourceUnavailable, InsufficientRights: when it cannot be asked.
    """
    expected, found = managed(facts), region.snapshot(copy.identifier)
    where = f"RDS snapshot {copy.identifier} in {copy.region}"
    if found is None:
        return (f"{where} is gone: somebody removed it behind Lifeboat's back",)
    if found.status != AVAILABLE:
        return (f"{where} is {found.status}",)
    told = (
        ("instance", expected.instance, found.instance),
        ("engine", expected.engine, found.engine),
        ("version", facts.server_version, found.version),
        ("storage in GiB", expected.allocated_gib, found.allocated_gib),
        ("encryption", copy.encrypted, found.encrypted),
        ("KMS key", copy.kms_key, found.kms_key),
        ("time", copy.created_at, found.created_at),
    )
    wrong = [f"{what} is {now}, and was {then}" for what, then, now in told if then != now]
    return (f"{where} is another one than was recorded: {', '.join(wrong)}",) if wrong else ()
