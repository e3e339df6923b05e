"""A bucket at any moment: listed, previewed, restored. Versions protect continuously, so it need be no backup's moment.

The state *as of* a moment is what was stored before it. What no version tells for sure is named as a ``Doubt``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from include.recovery.content.port import EVERYTHING, PutBack, Selection
from include.recovery.errors import BackupNotFound, Refused
from include.recovery.objects import history
from include.recovery.objects.changes import Doubt, pairs_at, tasks
from include.recovery.objects.history import Row
from include.recovery.objects.moments import current, milliseconds
from include.recovery.objects.places import places
from include.recovery.objects.put_back import apply
from include.recovery.objects.states import items_of, states

if TYPE_CHECKING:
    from include.recovery.content.compare import Change
    from include.recovery.content.model import Item
    from include.recovery.content.port import Site
    from include.recovery.policy.source_kinds.objects import ObjectsSource

Tell = Callable[[Doubt], None]


def _nobody(doubt: Doubt) -> None:
    """Told of it, and does nothing."""


class Recoverable(NamedTuple):
    """How new the newest state is that can be had.

    :param from_bucket: from the bucket's own versions: any moment up to this one.
    :param from_replica: when the bucket's region is lost: the moment of the newest backup.
    """

    from_bucket: datetime
    from_replica: datetime


def as_of(
    site: Site[ObjectsSource], moment: datetime, *, only: Selection = EVERYTHING, tell: Tell = _nobody
) -> Iterator[Item]:
    """What the bucket held at a moment, in order; versions that no backup knows are read for their digests.

    :param tell: told of each key whose state at the moment is in doubt.
    """
    here, _ = places(site)
    at = _past(site, here.clock(), moment)
    with history.known(site) as known:

        def rows() -> Iterator[Row]:
            for state in states(here, site.source.prefix, known, only):
                row, doubt = current(state.rows, at)
                if doubt:
                    tell(Doubt(state.key, doubt))
                if row is not None:
                    yield row

        yield from items_of(here, rows(), site)


def preview(
    site: Site[ObjectsSource], moment: datetime, *, only: Selection = EVERYTHING, tell: Tell = _nobody
) -> Iterator[Change]:
    """Exactly what ``restore`` would change, in order; nothing is touched."""
    here, _ = places(site)
    at = _past(site, here.clock(), moment)
    with history.known(site) as known:
        pairs = pairs_at(here, site.source.prefix, known, at, only, tell)
        for task in tasks(pairs, here, threads=site.source.threads, stop=site.stop):
            yield task.change


def restore(
    site: Site[ObjectsSource], moment: datetime, *, leave: str, only: Selection = EVERYTHING, tell: Tell = _nobody
) -> PutBack:
    """Make the bucket hold what it held at a moment. Nothing is lost by it: see ``put_back.py``.

    :param leave: the source's name as ``system/source``, given by whoever has seen the preview and may decide.
    :raises Refused: when the leave names something else.
    """
    if leave != site.name:
        raise Refused(f"putting back {site.name} needs leave for just that; it was given for {leave!r}")
    here, there = places(site)
    at = _past(site, here.clock(), moment)
    with history.known(site) as known:
        pairs = pairs_at(here, site.source.prefix, known, at, only, tell)
        found = tasks(pairs, here, threads=site.source.threads, stop=site.stop)
        return apply(found, here, there, threads=site.source.threads, stop=site.stop, progress=site.progress)


def recoverable(site: Site[ObjectsSource]) -> Recoverable:
    """How much would be lost now: nothing while the bucket's versions are there; without its region, what came after
    the newest backup.

    :raises BackupNotFound: when there is no backup: then the replica alone gives nothing back.
    """
    backups = site.workspace.catalog().backups(site.system.system, site.source.name, site.source.kind)
    newest = next((backup for backup in reversed(backups) if not backup.damaged), None)
    if newest is None:
        raise BackupNotFound(f"{site.name} has no backup, so its replica cannot be relied on; take one")
    here, _ = places(site)
    return Recoverable(here.clock(), newest.manifest.snapshot_at)


def _past(site: Site[ObjectsSource], now: datetime, moment: datetime) -> int:
    if moment.tzinfo is None:
        raise Refused(f"{site.name}: the moment {moment.isoformat()} has no time zone; write it with one")
    if moment > now:
        raise Refused(
            f"{site.name}: the moment {moment.astimezone(UTC).isoformat()} is not over yet by the clock of the bucket, "
            f"which shows {now.isoformat()}"
        )
    return milliseconds(moment)
