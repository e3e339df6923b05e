"""Taking a backup out of a store: announced, unlisted, its manifest first, then the rest.

    <system>/<source>/<kind>/removed/<id>/<time>.json     what was removed, when, by whom and why; kept for good

1. While object lock keeps the manifest, nothing is touched: the backup stays whole, usable and listed, with the date.
2. The record is written. From now on readers give way; when one was faster, the record is withdrawn.
3. The index marks the backup as going, so that it is not listed any more, and a run that dies is resumed.
4. The manifest is deleted, with all its versions. Now there is no backup; parts, keys and proofs follow.
5. What object lock still keeps of them waits, marked with the date; the next run goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from include.recovery.catalog.in_use import readers
from include.recovery.catalog.index import Going, Index
from include.recovery.catalog.layout import MANIFEST, timed_key
from include.recovery.catalog.lease import Clock
from include.recovery.catalog.model import Summary
from include.recovery.catalog.removed import Removal, removal_folder, removal_folder_of
from include.recovery.errors import LifeboatError, ObjectLocked, StoreError
from include.recovery.stores.port import ObjectStore, ObjectVersion

NO_END = datetime.max.replace(tzinfo=UTC)
"""What a store answers for an object under a legal hold: it is locked until somebody lifts the hold."""


class Outcome(StrEnum):
    """What became of a removal."""

    REMOVED = "removed"
    LEFTOVERS = "leftovers"
    """The backup is gone; object lock still keeps some of its bytes."""
    LOCKED = "locked"
    """Object lock keeps all of it: it is whole."""
    IN_USE = "in use"


@dataclass(frozen=True)
class Removed:
    """What a removal did.

    :param until: when object lock ends; ``NO_END`` under a legal hold.
    :param bytes: deleted for good.
    """

    outcome: Outcome
    until: datetime | None = None
    bytes: int = 0
    detail: str = ""

    @property
    def gone(self) -> bool:
        """Whether there is no such backup any more."""
        return self.outcome in {Outcome.REMOVED, Outcome.LEFTOVERS}

    @property
    def sentence(self) -> str:
        """In words."""
        if self.outcome is Outcome.IN_USE:
            return f"stays for now, it is being read by {self.detail}"
        if self.outcome is Outcome.LOCKED:
            return f"waits {until_words(self.until)}"
        return "removed" + (f", {self.detail}" if self.detail else "")


Change = Callable[[Callable[[Index], Index]], object]
"""Applies a change to the catalog's index."""


@dataclass(frozen=True)
class Remover:
    """Removes backups from one store.

    :param deleter: the same store with credentials that may delete versions.
    :param change: of the index.
    """

    store: ObjectStore
    deleter: ObjectStore
    change: Change
    clock: Clock

    def remove(self, backup: Summary, *, why: str, by: str, first: Callable[[], object] | None = None) -> Removed:
        """Take a backup out of the store, as far as object lock allows.

        Called again for one that is partly removed, it goes on.

        :param first: removes what is elsewhere, such as in pgBackRest's repository, when the backup is not listed any
            more and its manifest is still there. Done twice, it must do no harm; when it fails, the backup stays.
        :raises ObjectLocked: when nothing locks it, and still the store refuses: the credentials may not delete.
        :raises StoreUnavailable: in the middle, perhaps; the next call goes on.
        """
        now, prefix = self.clock(), backup.prefix
        manifest = self._manifest(prefix)
        until = self._locked(manifest, now)
        if until is not None:
            mark = Going(since=now, why=why, locked_until=until, whole=True)
            self.change(lambda index: index.with_going(prefix, mark))
            return Removed(Outcome.LOCKED, until)
        record = timed_key(removal_folder(backup), now)
        removal = Removal(backup=backup, store=self.store.name, at=now, by=by, why=why)
        self.store.put(record, removal.model_dump_json(indent=1).encode(), if_absent=True)
        try:
            reader = readers(self.store, backup.system, backup.source, backup.kind, now).get(backup.id)
            if reader is not None:
                self.store.delete(record)
                return Removed(Outcome.IN_USE, detail=reader.by)
            self.change(lambda index: index.with_going(prefix, Going(since=now, why=why, whole=False)))
            if first is not None:
                _all_or_nothing(first)
            for version in manifest:
                self.deleter.delete(version.key, version.id)
        except (ObjectLocked, _Failed) as error:
            self.store.delete(record)
            self.change(lambda index: index.without_going(prefix))
            if isinstance(error, _Failed) and error.__cause__ is not None:
                raise error.__cause__ from None
            raise
        return self.finish(prefix, why=why)

    def finish(self, prefix: str, *, why: str) -> Removed:
        """Remove what is left of a backup whose manifest is gone.

        :raises StoreError: when the manifest is there after all.
        """
        if any(not version.marker for version in self._manifest(prefix)):
            raise StoreError(f"store {self.store.name}: backup {prefix.rstrip('/')} still has its manifest")
        now, freed, locked = self.clock(), 0, []
        for version in list(self.store.versions(prefix)):
            try:
                self.deleter.delete(version.key, version.id)
            except ObjectLocked:
                locked.append(version)
            else:
                freed += version.size
        if not locked:
            self.change(lambda index: index.without(prefix))
            return Removed(Outcome.REMOVED, bytes=freed)
        until = self._locked(locked, now)
        mark = Going(since=now, why=why, locked_until=until, whole=False)
        self.change(lambda index: index.with_going(prefix, mark))
        left = sum(version.size for version in locked)
        return Removed(Outcome.LEFTOVERS, until, freed, f"{left} bytes of it wait {until_words(until)}")

    def resume(self, prefix: str, mark: Going) -> Removed | None:
        """Go on with a removal that an earlier run has begun.

        :return: None when there is nothing to do yet, or when the backup is whole and up for a new decision.
        """
        if self._manifest(prefix):
            for info in list(self.store.list(removal_folder_of(prefix))):
                self.store.delete(info.key)
            self.change(lambda index: index.without_going(prefix))
            return None
        if mark.locked_until is not None and mark.locked_until > self.clock():
            return None
        if next(iter(self.store.list(removal_folder_of(prefix))), None) is None:
            # Without its record nothing is deleted, whatever the index says.
            self.change(lambda index: index.without_going(prefix))
            return None
        return self.finish(prefix, why=mark.why)

    def _manifest(self, prefix: str) -> list[ObjectVersion]:
        """All versions of a manifest; those that a plain delete left behind come last, so that nothing comes to light
        that was hidden."""
        key = prefix + MANIFEST
        found = [version for version in self.store.versions(key) if version.key == key]
        return sorted(found, key=lambda version: version.marker) if any(not v.marker for v in found) else []

    def _locked(self, versions: Iterable[ObjectVersion], now: datetime) -> datetime | None:
        """Until when object lock keeps one of these; None when it does not."""
        dates = (self.store.locked_until(v.key, v.id) for v in versions if not v.marker)
        return max((date for date in dates if date is not None and date > now), default=None)


class _Failed(Exception):
    """What had to go first is still there."""


def _all_or_nothing(first: Callable[[], object]) -> None:
    try:
        first()
    except LifeboatError as error:
        raise _Failed from error


def until_words(until: datetime | None) -> str:
    """``until 2026-12-01 07:00 UTC``, or for what there is no date."""
    if until is None:
        return "for an end of its lock that the store does not tell"
    return "until its legal hold is lifted" if until == NO_END else f"until {until:%Y-%m-%d %H:%M %Z}"
