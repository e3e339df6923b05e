"""A system taken back to a set: its objects to the database's own moment, and what the database names looked for.

The database itself is restored first, by its runbook. Nothing here touches it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from include.recovery.content.port import EVERYTHING, PutBack, Selection, Site
from include.recovery.errors import PolicyError, Refused
from include.recovery.objects import moment
from include.recovery.objects.changes import Doubt
from include.recovery.objects.moment import as_of
from include.recovery.objects.newest import bring_back
from include.recovery.objects.states import live_items
from include.recovery.parts.progress import NO_PROGRESS, Progress
from include.recovery.policy.source_kinds.objects import ObjectsSource
from include.recovery.sets.named_objects import named_objects
from include.recovery.sets.reconcile import Reconciled, mismatches

if TYPE_CHECKING:
    from include.recovery.policy.models import ProtectedSystem, Reconcile
    from include.recovery.postgres.server import PostgresServer
    from include.recovery.sets.model import Member, RecoverySet
    from include.recovery.workspace import Workspace


def objects_site(
    workspace: Workspace,
    system: ProtectedSystem,
    source: str,
    *,
    progress: Progress = NO_PROGRESS,
    stop: threading.Event | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Site[ObjectsSource]:
    """A source of objects with what work on it needs.

    :raises PolicyError: when it is of another kind, whose versions lead to no moment.
    """
    found = system.content_source(source)
    if not isinstance(found, ObjectsSource):
        where = f"{system.system}/{source}"
        raise PolicyError([f"{where} is of kind {found.kind}; only objects come back as of any moment"])
    return Site(workspace, system, found, progress, stop or threading.Event(), now)


def restore_objects(
    site: Site[ObjectsSource], made: RecoverySet, *, leave: str, only: Selection = EVERYTHING
) -> tuple[PutBack, tuple[Doubt, ...]]:
    """Make the bucket hold what it held at the moment of the set; what was there stays as older versions.

    :return: what was done, and keys whose state at the moment cannot be told for sure.
    :raises Refused: when the leave names something else, or the set has no such member.
    """
    doubts: list[Doubt] = []
    done = moment.restore(site, _member(made, site).at, leave=leave, only=only, tell=doubts.append)
    return done, tuple(doubts)


def reconcile(
    site: Site[ObjectsSource],
    pair: Reconcile,
    database: PostgresServer,
    *,
    at: datetime | None = None,
    fetch: str | None = None,
) -> Reconciled:
    """Compare the keys that a database names with the objects that are there.

    :param database: live or a copy; it is only read.
    :param at: the moment of the objects; None means as they are now.
    :param fetch: leave to bring back what a version still has, as ``system/source``; only for the objects as they are.
    """
    if fetch is not None and at is not None:
        raise Refused("objects are fetched into the bucket as it is now; leave the moment away")
    found = Reconciled()
    held: Any = live_items(site) if at is None else as_of(site, at)
    missing = [
        each.key for each in mismatches(named_objects(database, pair), held, found) if each.what == "missing"
    ]
    if fetch is not None and missing:
        _, found.fetched = bring_back(site, missing, leave=fetch)
    return found


def _member(made: RecoverySet, site: Site[ObjectsSource]) -> Member:
    member = made.member(site.source.name)
    if member is None:
        why = made.lacking.get(site.source.name, "it has no such member")
        raise Refused(f"recovery set {made.id} of {made.system} does not lead to {site.source.name}: {why}")
    return member
