"""What can be protected: one module for each kind of source, all with the same verbs.

    postgres     a database, by pg_dump
    pgbackrest   the whole cluster that such a source is in, by pgBackRest
    rds          a database on Amazon RDS, by snapshots that the service keeps

The others are backed up item by item, and share their verbs (``include/recovery/content/verbs.py``); a module here
fulfils ``content/port.py`` and is listed in ``CONTENT_KINDS``:

    files        folders and files of a machine
    git          a git repository: a bundle of all refs, and an archive of its files
    kubernetes   resources of namespaces and of the cluster
    mongodb      documents, by the driver's raw reads, as of one moment where the server can show it
    objects      a versioned bucket of uploads, and its replica in the other region
    prometheus   the time series of a Prometheus server, by its snapshots
    redis        keys of all logical databases, by the RDB that a replica would get
    terraform    Terraform's state, from a bucket or a file
    vault        HashiCorp Vault or OpenBao, by raft snapshots

Found by the policy's ``kind``, or for a tier by its method: ``verbs(kind_of(source, tier)).backup(...)``. Operators and
the command line call these and nothing below them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from include.recovery.errors import PolicyError
from include.recovery.policy.models import Source, Tier
from include.recovery.sources.run_info import RunInfo

if TYPE_CHECKING:
    from include.recovery.content.verbs import ContentVerbs

__all__ = ["CONTENT_KINDS", "KINDS", "PHYSICAL", "RunInfo", "content_verbs", "kind_of", "verbs"]

PHYSICAL = "pgbackrest"
CONTENT_KINDS: tuple[str, ...] = (
    "files", "git", "kubernetes", "mongodb", "objects", "prometheus", "redis", "terraform", "vault",
)  # fmt: skip
"""Kinds that are backed up item by item."""
KINDS = ("postgres", PHYSICAL, "rds", *CONTENT_KINDS)


def verbs(kind: str) -> Any:
    """The verbs of a kind of source.

    :raises PolicyError: for an unknown kind, naming the known ones.
    """
    if kind in CONTENT_KINDS:
        return content_verbs(kind)
    if kind not in KINDS:
        raise PolicyError([f"a source of kind {kind!r} is unknown; known kinds are {', '.join(KINDS)}"])
    return import_module(f"include.recovery.sources.{kind}")


def content_verbs(kind: str) -> ContentVerbs:
    """The verbs of a kind that is backed up item by item.

    :raises PolicyError: for another kind.
    """
    from include.recovery.content.verbs import ContentVerbs

    if kind not in CONTENT_KINDS:
        raise PolicyError([f"{kind!r} is no kind that is backed up item by item; those are {', '.join(CONTENT_KINDS)}"])
    return ContentVerbs(import_module(f"include.recovery.sources.{kind}").KIND)


def kind_of(source: Source, tier: Tier | None = None) -> str:
    """The kind of the backups that a tier takes of a source; without a tier, that of the source itself."""
    return PHYSICAL if tier is not None and tier.is_physical else source.kind
