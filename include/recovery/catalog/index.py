"""One object that lists all backups of a store with what has been proven, so that a listing never grows with them.

It is a cache of the manifests and proofs, never the truth: lost or damaged, it is rebuilt from them. Changes only add
facts, so two writers' changes can be applied in any order with the same result; a removal is a fact too, until nothing
is left of the backup.
"""

from __future__ import annotations

import gzip
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import AwareDatetime, Field, ValidationError

from include.recovery.catalog.layout import INDEX_PREFIX
from include.recovery.catalog.model import Proof, Record, Summary
from include.recovery.catalog.numbered import Numbered
from include.recovery.errors import LifeboatError, PreconditionFailed, StoreUnavailable
from include.recovery.stores.port import ObjectStore

_log = logging.getLogger(__name__)

_ATTEMPTS = 30
_KEPT = 5
_FAILURES_KEPT = 3


class Entry(Record):
    """A backup's row.

    :param manifest_sha512: of the manifest's file when the row was made, so that a later edit is noticed.
    :param proofs: oldest first; long lists of failures are cut, the proof's own object has them all.
    """

    summary: Summary
    manifest_sha512: str
    proofs: tuple[Proof, ...] = ()

    def with_proofs(self, proofs: tuple[Proof, ...]) -> Entry:
        """The row with more proofs; those it has already are not doubled."""
        known = dict.fromkeys((*self.proofs, *(_shortened(proof, self.manifest_sha512) for proof in proofs)))
        ordered = sorted(known, key=lambda proof: (proof.at, proof.model_dump_json()))
        return self.model_copy(update={"proofs": tuple(ordered)})


class Debris(Record):
    """What a killed run left behind and object lock keeps.

    :param locked_until: when the sweep may try again; None when the store does not tell.
    """

    found_at: AwareDatetime
    locked_until: AwareDatetime | None
    size: int


class Going(Record):
    """A backup that retention has let go, and of which something is still there.

    :param locked_until: when object lock ends; None when it does not lock it.
    :param whole: it is complete, usable and listed until then; otherwise its manifest is going or gone.
    """

    since: AwareDatetime
    why: str
    locked_until: AwareDatetime | None = None
    whole: bool


class Index(Record):
    """The whole list.

    :param backups: by prefix.
    :param invalid: prefix of each backup whose manifest cannot be used, with the reason.
    :param debris: by prefix.
    :param going: what retention has let go, by prefix.
    """

    backups: dict[str, Entry] = Field(default_factory=dict)
    invalid: dict[str, str] = Field(default_factory=dict)
    debris: dict[str, Debris] = Field(default_factory=dict)
    going: dict[str, Going] = Field(default_factory=dict)

    @property
    def listed(self) -> dict[str, Entry]:
        """The backups that exist; those that are just being removed left out."""
        return {
            prefix: entry
            for prefix, entry in self.backups.items()
            if prefix not in self.going or self.going[prefix].whole
        }

    def with_going(self, prefix: str, mark: Going) -> Index:
        """The index with the mark of a backup that retention has let go."""
        return self.model_copy(update={"going": {**self.going, prefix: mark}})

    def without_going(self, prefix: str) -> Index:
        """The index without that mark: the backup stays after all."""
        return self.model_copy(update={"going": {key: mark for key, mark in self.going.items() if key != prefix}})

    def without(self, prefix: str) -> Index:
        """The index without anything about a backup: nothing is left of it."""
        return self.model_copy(
            update={
                field: {key: value for key, value in getattr(self, field).items() if key != prefix}
                for field in ("backups", "invalid", "debris", "going")
            }
        )

    def with_backup(self, prefix: str, entry: Entry) -> Index:
        """The index with one more backup; a row that exists keeps its digest and only gains proofs."""
        known = self.backups.get(prefix)
        merged = entry if known is None else known.with_proofs(entry.proofs)
        invalid = {key: why for key, why in self.invalid.items() if key != prefix}
        return self.model_copy(update={"backups": {**self.backups, prefix: merged}, "invalid": invalid})

    def with_proof(self, prefix: str, proof: Proof) -> Index:
        """The index with one more proof of a backup; unchanged when it does not know the backup."""
        known = self.backups.get(prefix)
        if known is None:
            return self
        return self.model_copy(update={"backups": {**self.backups, prefix: known.with_proofs((proof,))}})

    def merged(self, other: Index) -> Index:
        """Both together; the same whichever comes first, but for digests, where ours count."""
        backups = dict(self.backups)
        for prefix, entry in other.backups.items():
            backups[prefix] = backups[prefix].with_proofs(entry.proofs) if prefix in backups else entry
        invalid = {**other.invalid, **self.invalid}
        return Index(
            backups=backups,
            invalid={prefix: why for prefix, why in invalid.items() if prefix not in backups},
            debris={**other.debris, **self.debris},
            going={**other.going, **self.going},
        )

    def with_debris(self, below: str, debris: Mapping[str, Debris]) -> Index:
        """The index with exactly this debris below a prefix."""
        elsewhere = {prefix: mark for prefix, mark in self.debris.items() if not prefix.startswith(below)}
        return self.model_copy(update={"debris": {**elsewhere, **debris}})


Rebuild = Callable[[], Index]


class IndexObject:
    """The index of one store.

    :param rebuild: makes it from the manifests, when it is lost or damaged.
    """

    def __init__(self, store: ObjectStore, rebuild: Rebuild) -> None:
        self._slots = Numbered(store, INDEX_PREFIX)
        self._store = store
        self._rebuild = rebuild
        self._cached: _Read | None = None

    def read(self) -> Index:
        """The newest index: one small request, and another when it has changed since the last look.

        One that had to be rebuilt is stored, so that the next reader is spared.
        """
        read = self._read()
        if not read.stored and read.index.backups:
            try:
                self._write(read.number + 1, read.index)
            except LifeboatError as error:
                _log.info("store %s: the rebuilt index was not stored: %s", self._store.name, error)
        return read.index

    def update(self, change: Callable[[Index], Index]) -> Index:
        """Apply a change, again when another writer was faster, until it is in.

        :raises StoreUnavailable: when others were faster every time.
        """
        for attempt in range(_ATTEMPTS):
            read = self._read()
            changed = change(read.index)
            if read.stored and changed == read.index:
                return changed
            try:
                self._write(read.number + 1, changed)
            except PreconditionFailed:
                time.sleep(random.uniform(0, 0.02 * (attempt + 1)))  # noqa: S311 - only spreads the writers
                continue
            return changed
        raise StoreUnavailable(
            f"store {self._store.name}: other runs changed the index {_ATTEMPTS} times before this one could; try again"
        )

    def _write(self, number: int, index: Index) -> None:
        self._slots.write(number, _packed(index))
        self._cached = _Read(number, index, stored=True)
        self._slots.prune(below=number + 1 - _KEPT)

    def _read(self) -> _Read:
        newest = self._slots.newest()
        if newest is None:
            return _Read(0, self._rebuild(), stored=False)
        if self._cached is not None and self._cached.number == newest.number:
            return self._cached
        index = _unpacked(self._slots.read(newest))
        if index is None:
            _log.warning("store %s: index %s is damaged; rebuilding it", self._store.name, newest.key)
            return _Read(newest.number, self._rebuild(), stored=False)
        self._cached = _Read(newest.number, index, stored=True)
        return self._cached


@dataclass(frozen=True)
class _Read:
    """An index as it was read; ``stored`` is False when it had to be rebuilt and is not in the store yet."""

    number: int
    index: Index
    stored: bool


def _packed(index: Index) -> bytes:
    return gzip.compress(index.model_dump_json(exclude_defaults=True).encode(), compresslevel=6, mtime=0)


def _unpacked(data: bytes) -> Index | None:
    try:
        return Index.model_validate_json(gzip.decompress(data))
    except (OSError, EOFError, ValueError, ValidationError):
        return None


def _shortened(proof: Proof, manifest_sha512: str) -> Proof:
    """What a row needs of a proof: no long lists, and no digest that the row has anyway."""
    failures = proof.failures
    if len(failures) > _FAILURES_KEPT + 1:
        failures = (*failures[:_FAILURES_KEPT], f"and {len(failures) - _FAILURES_KEPT} more")
    digest = None if proof.manifest_sha512 == manifest_sha512 else proof.manifest_sha512
    return proof.model_copy(update={"failures": failures, "manifest_sha512": digest})
