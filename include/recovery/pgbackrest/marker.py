"""Marks a backup of a repository as being read, by pgBackRest's own name for it, so that retention leaves it alone.

Who restores knows a label; retention knows the catalog's rows. Every restore of a cluster runs inside such a marker:
expiring a full backup in the middle of its restore would take the files away from under it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from include.recovery.catalog.in_use import in_use
from include.recovery.pgbackrest.take_in import rows_of

if TYPE_CHECKING:
    from include.recovery.pgbackrest.stanza import Stanza
    from include.recovery.workspace import Workspace

Marker = Callable[[str], AbstractContextManager[None]]
"""Given a label: a block, and as long as it runs, the backup is marked."""


def marker_of(workspace: Workspace, stanza: Stanza, store: str, by: str) -> Marker:
    """What marks the backups of a store's repository.

    A backup that the catalog does not know gets no marker: retention removes only what the catalog lists.

    :param by: the run or person, for whoever asks why a backup stays.
    """

    def mark(label: str) -> AbstractContextManager[None]:
        for row in rows_of(workspace.catalog(store), stanza):
            if row.manifest.physical is not None and row.manifest.physical.label == label:
                return in_use(workspace.store(store), row.manifest, by)
        return nullcontext()

    return mark


def unmarked(_label: str) -> AbstractContextManager[None]:
    """No marker: for repositories that no catalog and so no retention knows."""
    return nullcontext()
