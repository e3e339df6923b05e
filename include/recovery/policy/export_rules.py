"""What the exports of a policy must agree on with the rest of it; see ``rules.py``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from include.recovery.policy.models import PostgresSource, ProtectedSystem
from include.recovery.policy.yaml_source import Broken


def exports_are_unique(system: ProtectedSystem) -> Iterator[Broken]:
    """Exports are found by name."""
    for number, source in _databases(system):
        for name, count in Counter(export.name for export in source.exports).items():
            if count > 1:
                yield ("sources", number, "exports"), f"the name {name!r} is given {count} times; each must be unique"


def exports_are_kept(system: ProtectedSystem) -> Iterator[Broken]:
    """An export is proven by a restored copy, which has no rows of a table that backups leave out."""
    for number, source in _databases(system):
        excluded = {entry.table for entry in source.exclude}
        for place, export in enumerate(source.exports):
            if export.table in excluded:
                yield (
                    ("sources", number, "exports", place, "table"),
                    f"found {export.table!r}, whose rows 'exclude' leaves out of the backup, so no restored copy could "
                    f"prove the export; take it out of one of them",
                )


def _databases(system: ProtectedSystem) -> Iterator[tuple[int, PostgresSource]]:
    for number, source in enumerate(system.sources):
        if isinstance(source, PostgresSource):
            yield number, source
