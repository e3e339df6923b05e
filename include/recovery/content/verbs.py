"""The verbs of every kind of source that is backed up item by item: the same as a database's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

from include.recovery.catalog.in_use import in_use
from include.recovery.catalog.lease import Owner
from include.recovery.catalog.looks import SourceLook, keep_look
from include.recovery.catalog.model import Backup, CompleteBackup, Manifest, Proof, ProofLevel
from include.recovery.catalog.removal import Removed
from include.recovery.content.compare import Change, changes
from include.recovery.content.compare import compare as compare_items
from include.recovery.content.inventory import PART, measured
from include.recovery.content.parts import PartSink, StoredParts
from include.recovery.content.port import EVERYTHING, Kind, PartlyCompared, Previews, PutBack, Restored, Selection, Site
from include.recovery.errors import BackupCorrupt, NotIdentical, Refused
from include.recovery.evidence.model import Check, Outcome
from include.recovery.fingerprint.model import Comparison, NotCompared
from include.recovery.parts.progress import NO_PROGRESS, Progress
from include.recovery.policy.content_models import ContentSource
from include.recovery.sources.run_info import RunInfo, by
from include.recovery.sources.stored_parts import verify
from include.recovery.workspace import PRIMARY

if TYPE_CHECKING:
    from include.recovery.policy.models import ProtectedSystem, Tier
    from include.recovery.workspace import Workspace

LIVE: Literal["live"] = "live"


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Unchanged:
    """A source that holds what its newest backup holds, so that none was taken.

    :param backup: that one.
    :param at: when it was looked at.
    """

    backup: Backup
    at: datetime


@dataclass(frozen=True)
class ContentVerbs:
    """What operators and the command line call. ``verify`` is the same for all stored parts."""

    kind: Kind[Any]

    def site(
        self,
        workspace: Workspace,
        system: ProtectedSystem,
        source: ContentSource,
        *,
        progress: Progress = NO_PROGRESS,
        stop: threading.Event | None = None,
        now: Callable[[], datetime] = _now,
    ) -> Site[Any]:
        """A source with what work on it needs."""
        return Site(workspace, system, source, progress, stop or threading.Event(), now)

    def describe(self, source: ContentSource) -> str:
        """What the source is, in words."""
        return self.kind.describe(source)

    def precheck(self, workspace: Workspace, system: ProtectedSystem, source: ContentSource) -> str:
        """Whether the source can be backed up completely, in a clause."""
        return self.kind.precheck(self.site(workspace, system, source))

    def backup(
        self,
        workspace: Workspace,
        system: ProtectedSystem,
        source: ContentSource,
        tier: Tier | None,
        *,
        run: RunInfo,
        note: str | None = None,
        hold: bool = False,
        store: str = PRIMARY,
        progress: Progress = NO_PROGRESS,
        stop: threading.Event | None = None,
        now: Callable[[], datetime] = _now,
    ) -> Manifest:
        """Take a backup. It exists when this returns, and otherwise nothing of it counts.

        :raises LeaseHeld: when another run is writing the same backup.
        """
        owner, started = Owner.of_this_process(run.run_id, run.try_number, run.url), now()
        site = self.site(workspace, system, source, progress=progress, stop=stop, now=now)
        with workspace.catalog(store).begin(
            system.system, source.name, self.kind.name, tier=tier.name if tier else None, owner=owner,
            keyring=workspace.keyring(),
        ) as in_progress:
            with PartSink(in_progress, zstd_level=source.zstd_level, progress=progress) as sink:
                captured = self.kind.capture(site, sink)
            return in_progress.commit(
                started_by=run.started_by, started_at=started, hold=hold,
                note="; ".join(filter(None, (note, *captured.notes))) or None,
                snapshot_at=captured.snapshot_at, lsn=captured.lsn, server_version=captured.server_version,
                tool_versions=captured.tools, source_size=captured.size or sink.tally.size,
                compression=f"zstd-{source.zstd_level}", parts=sink.parts, left_out=sink.left_out,
                content=sink.tally.fingerprint(captured.not_compared),
            )  # fmt: skip

    def unchanged(
        self, workspace: Workspace, system: ProtectedSystem, source: ContentSource, *, store: str = PRIMARY,
        stop: threading.Event | None = None, now: Callable[[], datetime] = _now,
    ) -> Unchanged | None:  # fmt: skip
        """The newest backup, when the source still holds just what it holds; None when a new one is needed."""
        at = now()
        known = workspace.catalog(store).backups(system.system, source.name, self.kind.name)
        usable = [row for row in known if not row.damaged]
        newest = max(usable, key=lambda row: (row.manifest.snapshot_at, row.manifest.id), default=None)
        if newest is None:
            return None
        content = workspace.catalog(store).complete(newest).manifest.content
        live = measured(self.kind.live_items(self.site(workspace, system, source, stop=stop, now=now)))
        return Unchanged(newest, at) if content is not None and live.sha512 == content.sha512 else None

    def look(
        self, workspace: Workspace, system: ProtectedSystem, source: ContentSource, tier: Tier, *, run: RunInfo,
        stop: threading.Event | None = None, now: Callable[[], datetime] = _now,
    ) -> Unchanged | None:  # fmt: skip
        """``unchanged``, kept for the age of the newest recoverable point."""
        seen = self.unchanged(workspace, system, source, stop=stop, now=now)
        if seen is not None:
            look = SourceLook(
                system=system.system, source=source.name, tier=tier.name, kind=self.kind.name,
                backup=seen.backup.manifest.id, at=seen.at, by=run.started_by,
            )  # fmt: skip
            keep_look(workspace.store(PRIMARY), look, workspace.deleter(PRIMARY))
        return seen

    def restore(
        self,
        workspace: Workspace,
        backup: CompleteBackup,
        folder: Path,
        *,
        store: str = PRIMARY,
        only: Selection = EVERYTHING,
        run: RunInfo | None = None,
        progress: Progress = NO_PROGRESS,
        stop: threading.Event | None = None,
    ) -> Restored:
        """Make a copy in a folder. The source itself is neither needed nor touched."""
        site = self._site_of(workspace, backup, progress=progress, stop=stop)
        with self._stored(workspace, backup, store, run, progress) as stored:
            restored = self.kind.restore(site, stored, folder.absolute(), only)
            return Restored(restored.fetched or stored.fetched, restored.target, restored.notes)

    def verify(
        self,
        workspace: Workspace,
        backup: CompleteBackup,
        *,
        store: str = PRIMARY,
        run: RunInfo | None = None,
        progress: Progress = NO_PROGRESS,
        now: Callable[[], datetime] = _now,
    ) -> Proof:
        """Read every stored part back and compare its SHA-512 with the manifest. Needs no key; leaves a proof."""
        return verify(workspace, backup, store=store, run=run, progress=progress, now=now)

    def compare(
        self,
        workspace: Workspace,
        backup: CompleteBackup,
        folder: Path,
        *,
        only: Selection = EVERYTHING,
        store: str = PRIMARY,
        run: RunInfo | None = None,
        stop: threading.Event | None = None,
        now: Callable[[], datetime] = _now,
    ) -> tuple[Comparison, Proof]:
        """Compare a copy, item by item, with the inventory of its backup. Leaves a proof, also a failed one.

        :param only: as it was restored; a selection proves no more than that it can be restored.
        """
        manifest, began = backup.manifest, monotonic()
        if manifest.content is None:
            raise NotIdentical(f"backup {manifest.name} was taken without an inventory; take a new one")
        site = self._site_of(workspace, backup, stop=stop)
        with self._stored(workspace, backup, store, run, NO_PROGRESS) as stored:
            comparison = compare_items(
                (item for item in stored.items() if only.wants(item.name)), self.kind.items(site, folder.absolute()),
                unit=self.kind.unit, not_compared=(*manifest.content.not_compared, *self._unproven(site, folder)),
            )  # fmt: skip
        proof = Proof(
            level=ProofLevel.IDENTICAL if only == EVERYTHING else ProofLevel.RESTORED,
            ok=comparison.identical, at=now(), by=by(run), store=store, detail=_in_words(comparison),
            failures=tuple(difference.message for difference in comparison.differences),
            seconds=round(monotonic() - began, 3),
        )  # fmt: skip
        return comparison, workspace.catalog(store).append_proof(manifest, proof)

    def validate(
        self,
        workspace: Workspace,
        backup: CompleteBackup,
        folder: Path,
        *,
        store: str = PRIMARY,
        run: RunInfo | None = None,
        now: Callable[[], datetime] = _now,
    ) -> list[Check]:
        """Ask a copy the kind's own questions. Leaves a proof, also a failed one."""
        began = monotonic()
        checks = list(self.kind.questions(self._site_of(workspace, backup), folder.absolute()))
        wrong = tuple(
            f"{check.name}: found {check.found}, expected {check.expected}"
            for check in checks
            if check.outcome is not Outcome.PASSED
        )
        if checks:
            workspace.catalog(store).append_proof(backup.manifest, Proof(
                level=ProofLevel.VALIDATED, ok=not wrong, at=now(), by=by(run), store=store,
                detail=f"{len(checks) - len(wrong)} of {len(checks)} questions answered as expected", failures=wrong,
                seconds=round(monotonic() - began, 3),
            ))  # fmt: skip
        return checks

    def discard(self, folder: Path) -> None:
        """Remove a copy, with whatever runs in it."""
        self.kind.discard(folder.absolute())

    def preview(
        self, workspace: Workspace, backup: CompleteBackup, *, only: Selection = EVERYTHING, store: str = PRIMARY
    ) -> Iterator[Change]:
        """What putting back would change at the site, item by item; nothing is touched.

        ``expected`` of a change is what the backup holds, ``found`` what is there now.
        """
        site = self._site_of(workspace, backup)
        with self._stored(workspace, backup, store, None, NO_PROGRESS) as stored:
            if isinstance(self.kind, Previews):
                yield from self.kind.preview(site, stored, only)
                return
            yield from changes(
                (item for item in stored.items() if only.wants(item.name)),
                (item for item in self.kind.live_items(replace(site, beside=stored)) if only.wants(item.name)),
            )

    def put_back(
        self,
        workspace: Workspace,
        backup: CompleteBackup,
        *,
        leave: str,
        only: Selection = EVERYTHING,
        store: str = PRIMARY,
        run: RunInfo | None = None,
        progress: Progress = NO_PROGRESS,
        stop: threading.Event | None = None,
    ) -> PutBack:
        """Make the site hold what the backup holds; what it would lose is kept aside first.

        :param leave: the source's name as ``system/source``, given by whoever has seen the preview and may decide.
        :raises Refused: when the leave names something else.
        """
        site = self._site_of(workspace, backup, progress=progress, stop=stop)
        if leave != site.name:
            raise Refused(f"putting back {site.name} needs leave for just that; it was given for {leave!r}")
        with self._stored(workspace, backup, store, run, progress) as stored:
            return self.kind.put_back(site, stored, only)

    def expire(
        self, workspace: Workspace, backup: Backup, *, why: str, store: str = PRIMARY, run: RunInfo | None = None
    ) -> Removed:
        """Remove a backup from a store, as far as object lock allows.

        :param why: the plan's reason.
        """
        return workspace.catalog(store).remove(
            backup.manifest, why=why, by=by(run), deleter=workspace.deleter(store)
        )

    def _unproven(self, site: Site[Any], folder: Path) -> Sequence[NotCompared]:
        return self.kind.not_compared(site, folder.absolute()) if isinstance(self.kind, PartlyCompared) else ()

    def _site_of(self, workspace: Workspace, backup: CompleteBackup, **more: Any) -> Site[Any]:
        system = workspace.system(backup.manifest.system)
        return self.site(workspace, system, system.content_source(backup.manifest.source), **more)

    @contextmanager
    def _stored(
        self, workspace: Workspace, backup: CompleteBackup, store: str, run: RunInfo | None, progress: Progress
    ) -> Iterator[StoredParts]:
        manifest = backup.manifest
        if not any(part.name == PART for part in manifest.parts):
            raise BackupCorrupt(f"backup {manifest.name} has no inventory, so nobody knows what it held")
        with in_use(workspace.store(store), manifest, by(run)):
            key = workspace.catalog(store).key(manifest, workspace.keyring())
            yield StoredParts(backup, workspace.store(store), key, progress)


def _in_words(comparison: Comparison) -> str:
    """The verdict, with what it does not cover."""
    unproven = "; ".join(each.object for each in comparison.not_compared)
    return comparison.verdict + (f"; not compared: {unproven}" if unproven else "")
