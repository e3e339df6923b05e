"""A question to a restored copy: does the replica still hold the same?

A drill reads the bucket, and the replica is read when a version arrives there; what rots in it later would show only
when it is needed. So each drill reads another sample of it.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from include.recovery.errors import ObjectMissing, StoreError, Unavailable
from include.recovery.evidence.model import Check, Outcome
from include.recovery.objects.bucket import Bucket
from include.recovery.objects.copy import Entry, entries
from include.recovery.objects.digest import measured
from include.recovery.objects.in_order import Later, in_order
from include.recovery.objects.places import places

if TYPE_CHECKING:
    from include.recovery.content.port import Site
    from include.recovery.policy.source_kinds.objects import ObjectsSource

SAMPLED = 50


def replica_holds_the_same(site: Site[ObjectsSource], folder: Path) -> Check:
    """Compare some objects of a copy with what the replica holds of them."""
    _, there = places(site)
    began = monotonic()
    chosen = sample(entries(folder), SAMPLED, random.Random(site.now().isoformat()))  # noqa: S311 - no secret
    jobs: Iterator[str | Later[str]] = (Later(functools.partial(_wrong, there, folder, entry)) for entry in chosen)
    with closing(in_order(jobs, threads=site.source.threads, stop=site.stop)) as found:
        wrong = [each for each in found if each]
    return Check(
        name="the replica holds the same",
        outcome=Outcome.FAILED if wrong else Outcome.PASSED,
        source=site.source.name,
        expected=f"{len(chosen)} of {len(chosen)} objects, chosen at random, have the same digest in both regions",
        found=f"{len(chosen) - len(wrong)} of {len(chosen)}" + (f": {wrong[0]}" if wrong else ""),
        output="\n".join(wrong),
        seconds=round(monotonic() - began, 3),
    )


def sample(every: Iterator[Entry], number: int, chance: random.Random) -> list[Entry]:
    """So many of them, each as likely as any other, whatever their number; in their order."""
    chosen: list[tuple[int, Entry]] = []
    for position, entry in enumerate(every):
        if len(chosen) < number:
            chosen.append((position, entry))
        elif (place := chance.randrange(position + 1)) < number:
            chosen[place] = (position, entry)
    return [entry for _, entry in sorted(chosen, key=lambda each: each[0])]


def _wrong(there: Bucket, folder: Path, entry: Entry) -> str:
    """What is wrong with a copy in the replica; empty when nothing is."""
    if not entry.copy:
        return f"{entry.key!r}: no copy is known"
    try:
        with (folder / entry.path).open("rb") as content:
            expected = measured(content, entry.attributes)
        attributes, stream = there.fetch(entry.key, entry.copy)
        with closing(stream):
            same = measured(stream, attributes) == expected
    except FileNotFoundError:
        return f"{entry.key!r} is missing in {folder}"
    except ObjectMissing:
        return f"{entry.key!r}: copy {entry.copy} is gone"
    except (StoreError, Unavailable) as error:
        return f"{entry.key!r}: {error}"
    return "" if same else f"{entry.key!r}: copy {entry.copy} holds something else"
