"""Who needs whom: an incremental is nothing without its full."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from include.recovery.retention.model import Row


class Chains:
    """The dependencies among the backups of one source.

    :param rows: all of them.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows: Mapping[str, Row] = {row.key: row for row in rows}
        self._broken: dict[str, str | None] = {}
        for key in self._rows:
            self._judge(key)

    def unusable(self, row: Row) -> str | None:
        """Why a backup cannot be restored as a whole; None when it can, as far as is known."""
        return self._broken[row.key]

    def root(self, row: Row) -> Row:
        """The full backup that one stands on: itself, where it needs no other."""
        at, seen = row, {row.key}
        while at.parent_key is not None and at.parent_key in self._rows and at.parent_key not in seen:
            at = self._rows[at.parent_key]
            seen.add(at.key)
        return at

    def needed_by(self, kept: Iterable[Row]) -> dict[str, list[Row]]:
        """Every backup that others which stay cannot be restored without, by key, with those directly on top of it.

        :param kept: those that stay for reasons of their own.
        """
        found: dict[str, list[Row]] = {}
        seen: set[str] = set()
        for row in kept:
            at = row
            while at.key not in seen and at.parent_key is not None and at.parent_key in self._rows:
                seen.add(at.key)
                found.setdefault(at.parent_key, []).append(at)
                at = self._rows[at.parent_key]
        return found

    def _judge(self, key: str) -> None:
        """Judge a backup and all that it needs, without recursion: chains of hourly incrementals are long."""
        line: dict[str, None] = {}
        at: str | None = key
        while at is not None and at in self._rows and at not in self._broken and at not in line:
            line[at] = None
            at = self._rows[at].parent_key
        if at is None:
            below = None
        elif at in line:
            below = f"{at} needs itself"
        elif at not in self._rows:
            below = f"{at}, which it needs, is gone"
        else:
            below = self._broken[at] and f"{at}, which it needs, cannot be used"
        for name in reversed(line):
            row = self._rows[name]
            self._broken[name] = "it is damaged" if row.damaged else below
            if self._broken[name] is not None:
                below = f"{name}, which it needs, cannot be used"
