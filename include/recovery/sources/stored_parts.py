"""Reading back what is stored: the verb ``verify`` of every kind whose backups are parts in a store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING

from include.recovery.catalog.in_use import in_use
from include.recovery.catalog.model import CompleteBackup, Proof, ProofLevel
from include.recovery.errors import BackupCorrupt, ManifestInvalid
from include.recovery.parts.progress import NO_PROGRESS, Progress
from include.recovery.parts.read import check_part
from include.recovery.sources.run_info import RunInfo, by

if TYPE_CHECKING:
    from include.recovery.workspace import Workspace


def verify(
    workspace: Workspace,
    backup: CompleteBackup,
    *,
    store: str,
    run: RunInfo | None = None,
    progress: Progress = NO_PROGRESS,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Proof:
    """Read every stored part back and compare its SHA-512 with the manifest. Needs no key; leaves a proof.

    :raises BackupCorrupt: naming the first damaged or missing part, after the failed proof was recorded.
    :raises ManifestInvalid: when it names no part at all: there would be nothing to read, and that proves nothing.
    """
    manifest, began, catalog = backup.manifest, monotonic(), workspace.catalog(store)
    if not manifest.parts:
        raise ManifestInvalid(f"backup {manifest.name} names no parts, so nothing can be read back; take a new one")
    try:
        with in_use(workspace.store(store), manifest, by(run)):
            for part in manifest.parts:
                check_part(workspace.store(store), part, progress=progress)
    except ManifestInvalid:
        raise
    except BackupCorrupt as error:
        catalog.append_proof(manifest, Proof(
            level=ProofLevel.STORED, ok=False, at=now(), by=by(run), store=store, detail=str(error),
            failures=(str(error),), seconds=round(monotonic() - began, 3),
        ))  # fmt: skip
        raise
    return catalog.append_proof(manifest, Proof(
        level=ProofLevel.STORED, ok=True, at=now(), by=by(run), store=store,
        detail=f"all {len(manifest.parts)} parts ({manifest.stored_size} bytes) have the SHA-512 that was written",
        seconds=round(monotonic() - began, 3),
    ))  # fmt: skip
