"""Bringing back single keys whatever the moment: for objects that a database names and that nothing holds any more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from include.recovery.content.port import PutBack
from include.recovery.errors import Refused
from include.recovery.objects import history
from include.recovery.objects.changes import Wanted, as_wanted, tasks
from include.recovery.objects.history import Known, Row
from include.recovery.objects.listing import side_by_side
from include.recovery.objects.places import places
from include.recovery.objects.put_back import apply
from include.recovery.objects.states import states

if TYPE_CHECKING:
    from include.recovery.content.port import Site
    from include.recovery.objects.bucket import Bucket
    from include.recovery.policy.source_kinds.objects import ObjectsSource


def bring_back(site: Site[ObjectsSource], keys: Iterable[str], *, leave: str) -> tuple[PutBack, dict[str, str]]:
    """Make the newest version of each key current again, where bucket or replica still has one.

    Keys that hold something are left alone.

    :param keys: in the order of their UTF-8 bytes, each once.
    :param leave: the source's name as ``system/source``, given by whoever may decide.
    :return: what was done, and for each key that came back which version; a key without any version is absent.
    :raises Refused: when the leave names something else.
    """
    if leave != site.name:
        raise Refused(f"putting back {site.name} needs leave for just that; it was given for {leave!r}")
    here, there = places(site)
    found: dict[str, str] = {}
    with history.known(site) as known:
        pairs = _newest(here, site.source.prefix, known, keys, found)
        wanted = tasks(pairs, here, threads=site.source.threads, stop=site.stop)
        done = apply(wanted, here, there, threads=site.source.threads, stop=site.stop, progress=site.progress)
    return done, found


def _newest(
    bucket: Bucket, prefix: str, known: Known, keys: Iterable[str], found: dict[str, str]
) -> Iterator[tuple[Wanted | None, Row | None]]:
    asked = ((key, key) for key in keys)
    for key, (wanted, state) in side_by_side(asked, ((each.key, each) for each in states(bucket, prefix, known))):
        if wanted is None or state is None or state.live is not None:
            continue
        row = next((row for row in state.rows if not row.marker), None)
        if row is not None:
            found[key] = f"version {row.id}" + (" (from the replica)" if row.gone else "")
            yield as_wanted(row), None
