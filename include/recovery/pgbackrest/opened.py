"""Which archived segments were opened and found good, so that each is opened once, and a damaged one at every look.

A look that opened the newest segments only would be green again as soon as newer ones came in, with the damage still
there. The memory is a small file beside the stanza's configuration; a lost one costs nothing but opening them again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from include.recovery.pgbackrest.segments import Segment
from include.recovery.pgbackrest.wal import Archive

MOST = 64
"""How many segments one look opens at the most: newest first, the others at the next looks."""


@dataclass(frozen=True)
class Opened:
    """What was opened of one repository's archive.

    :param file: where it is remembered.
    """

    file: Path

    @classmethod
    def of(cls, folder: Path, repository: int) -> Opened:
        """The memory beside a stanza's configuration.

        :param repository: pgBackRest's number.
        """
        return cls(folder / f"opened-{repository}.json")

    def due(self, archive: Archive, most: int = MOST) -> list[Segment]:
        """The segments to open now: those that were never found good as they are, newest first."""
        good = self._good()
        return [each for each in sorted(archive.segments, reverse=True) if not _marks(archive, each) <= good][:most]

    def remember(self, archive: Archive, opened: Iterable[Segment], bad: Collection[tuple[str, str]]) -> None:
        """Keep that these were opened.

        :param bad: first and last names of those with something wrong; they are opened again next time.
        """
        size = archive.segment_bytes
        good = self._good() | {
            mark
            for segment in opened
            if (segment.name(size), segment.name(size)) not in bad
            for mark in _marks(archive, segment)
        }
        there = {mark for segment in archive.segments for mark in _marks(archive, segment)}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(sorted(good & there)), encoding="utf-8")
        new.replace(self.file)

    def _good(self) -> set[str]:
        try:
            return set(json.loads(self.file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return set()  # never written, or cut off: then everything is opened again


def _marks(archive: Archive, segment: Segment) -> set[str]:
    """Each file of a segment, so that a change of it shows."""
    return {f"{file.path} {file.size} {file.modified.isoformat()}" for file in archive.segments[segment]}
