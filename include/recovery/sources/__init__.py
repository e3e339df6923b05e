"""What can be protected: one module for each kind of source, all with the same verbs.

    postgres     a database, by pg_dump
    pgbackrest   the whole cluster that such a source is in, by pgBackRest

Found by the policy's ``kind``, or for a tier by its method: ``verbs(kind_of(source, tier)).backup(...)``. Operators and
the command line call these and nothing below them.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from include.recovery.catalog.model import Record
from include.recovery.errors import PolicyError
from include.recovery.policy.models import PostgresSource, Tier

KINDS = ("postgres", "pgbackrest")
PHYSICAL = "pgbackrest"


class RunInfo(Record):
    """Who or what does something: a task's try, or a person at the command line.

    :param run_id: the same for all tries of one run, so that a retry may take the lease of the try before it.
    :param url: of the run's page, if it has one.
    """

    run_id: str
    try_number: int = 1
    started_by: str
    url: str | None = None


def verbs(kind: str) -> ModuleType:
    """The verbs of a kind of source.

    :raises PolicyError: for an unknown kind, naming the known ones.
    """
    if kind not in KINDS:
        raise PolicyError([f"a source of kind {kind!r} is unknown; known kinds are {', '.join(KINDS)}"])
    return import_module(f"include.recovery.sources.{kind}")


def kind_of(source: PostgresSource, tier: Tier | None = None) -> str:
    """The kind of the backups that a tier takes of a source; without a tier, that of the source itself."""
    return PHYSICAL if tier is not None and tier.is_physical else source.kind
