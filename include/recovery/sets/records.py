"""Recovery sets in a store: kept once, listed, and picked.

newest set                                   the newest that has every source
newest set before 2026-11-21T08:00+01:00     ... of that moment or older
20261121T070003Z-5fb0                        exactly this one

Each is an object beside the backups: ``<system>/sets/<time>-<id>.json``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from pydantic import ValidationError

from include.recovery.catalog.picker import parse_moment
from include.recovery.errors import BackupCorrupt, BackupNotFound
from include.recovery.evidence.once import read_once, write_once, written_once
from include.recovery.sets.model import RecoverySet
from include.recovery.stores.port import ObjectStore

_WISH = re.compile(r"newest(?: set)?(?: (?:at or )?before (?P<before>\S+))?")
_SHOWN = 5


class RecoverySets:
    """The sets of a system in one store."""

    def __init__(self, store: ObjectStore, system: str) -> None:
        self._store, self._system = store, system

    def record(self, made: RecoverySet) -> str:
        """Keep a set.

        :return: its key.
        """
        key = f"{self._folder}{made.at.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}-{made.id}.json"
        write_once(self._store, key, made.model_dump_json(indent=1).encode())
        return key

    def listed(self) -> list[str]:
        """Keys of all sets, the one of the newest moment first."""
        return sorted(written_once(self._store, self._folder), reverse=True)

    def read(self, key: str) -> RecoverySet:
        """A set, as it was first written.

        :raises BackupCorrupt: when it cannot be read.
        """
        try:
            return RecoverySet.model_validate_json(read_once(self._store, key))
        except ValidationError as error:
            raise BackupCorrupt(
                f"recovery set {key} in store {self._store.name} cannot be read; pick another one, or update Lifeboat"
            ) from error

    def pick(self, wish: str, now: datetime) -> RecoverySet:
        """The set that a wish names; of the newest, one that lacks no source.

        :raises BackupNotFound: when none fits, saying what was passed over and why.
        """
        match = _WISH.fullmatch(" ".join(wish.split()))
        if match is None:
            for key in self.listed():
                if key.endswith(f"-{wish.strip()}.json"):
                    return self.read(key)
            raise BackupNotFound(
                f"{self._system} has no recovery set {wish!r}; say 'newest set', or an id from the list"
            )
        before = min(parse_moment(match["before"]), now) if match["before"] else now
        skipped = []
        for key in self.listed():
            made = self.read(key)
            if made.at > before:
                continue
            if made.whole:
                return made
            skipped.append(f"{made.id} lacks {', '.join(made.lacking)}")
        passed = f"; passed over: {'; '.join(skipped[:_SHOWN])}" if skipped else ""
        raise BackupNotFound(
            f"{self._system} has no whole recovery set of {before.isoformat()} or older{passed}; each backup binds "
            "one, or `lifeboat set` does"
        )

    @property
    def _folder(self) -> str:
        return f"{self._system}/sets/"
