"""Some files of a backup in the places of what is there now, each of which is kept aside first."""

from __future__ import annotations

import os
import stat as modes
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from include.recovery.content.compare import Change, shown
from include.recovery.content.port import Selection, Stored
from include.recovery.errors import Refused
from include.recovery.files.attributes import apply
from include.recovery.files.entry import entry_of
from include.recovery.files.extract import enter_folder
from include.recovery.files.stage import Stage, fill, new_aside, root_of, staged
from include.recovery.files.walk import Found
from include.recovery.jobs import Stopped


def exchange_chosen(
    stored: Stored, found: list[Change], roots: list[str], only: Selection, now: datetime, stop: Callable[[], bool]
) -> tuple[list[Path], list[str]]:
    """Exchange what differs, file by file.

    :param found: what differs, in order.
    :param roots: the policy's paths that hold it.
    :param only: what was selected.
    :return: where what was there is kept, and which names are files of their own now, without their other links.
    """
    expected = _with_their_links(stored, {change.name for change in found if change.expected is not None}, only)
    names = sorted(expected | {change.name for change in found}, key=os.fsencode)
    exchanges: dict[str, _Exchange] = {}
    with staged(roots) as stages:
        alone = fill(stages, stored, expected.__contains__, stop)
        try:
            for name in names:
                if stop():
                    raise Stopped
                root = root_of(name, stages)
                if root not in exchanges:
                    exchanges[root] = _Exchange(stages[root], now)
                exchanges[root].one(name, wanted=name in expected)
        finally:
            for exchange in exchanges.values():
                exchange.close()
    return [exchange.aside for exchange in exchanges.values() if exchange.aside is not None], alone


def _with_their_links(stored: Stored, names: set[str], only: Selection) -> set[str]:
    """With a file that is exchanged go its other selected names, or they would be links to what is kept aside."""
    firsts = {item.at or item.name for item in stored.items() if item.name in names}
    others = {item.name for item in stored.items() if item.name in firsts or item.at in firsts}
    return names | {name for name in others if only.wants(name)}


@dataclass
class _Exchange:
    """Exchanges below one path of the policy."""

    stage: Stage
    now: datetime
    aside: Path | None = None
    _aside: int = -1

    def __post_init__(self) -> None:
        self._top = os.open(self.stage.root.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Give the descriptors up."""
        for descriptor in (self._top, self._aside):
            if descriptor >= 0:
                os.close(descriptor)

    def one(self, name: str, *, wanted: bool) -> None:
        """Exchange one thing, or keep aside what the backup does not have.

        :raises Refused: when a folder above it is none any more.
        """
        try:
            self._exchange(name, wanted=wanted)
        except NotADirectoryError as error:
            raise Refused(
                f"{shown(name)} was not put back, since a folder above it is none any more; select that folder too"
            ) from error

    def _exchange(self, name: str, *, wanted: bool) -> None:
        _, way = self.stage.place(name)
        live = _stat(self._top, way)
        new = _stat(self.stage.descriptor, way) if wanted else None
        if new is not None and live is not None and modes.S_ISDIR(new.st_mode) and modes.S_ISDIR(live.st_mode):
            self._dress(Found(name, -1, way[-1], live), self._top, self._aside_folder(), way)
            self._dress(Found(name, -1, way[-1], new), self.stage.descriptor, self._top, way)
            return
        if live is not None and (new is not None or not wanted):
            self._keep(way)
        if new is not None:
            self._move(self.stage.descriptor, self._top, way)

    def _keep(self, way: list[str]) -> None:
        self._move(self._top, self._aside_folder(), way)

    def _aside_folder(self) -> int:
        if self.aside is None:
            self.aside = new_aside(self.stage.root, self.now)
            self._aside = os.open(self.aside, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return self._aside

    def _move(self, from_: int, to: int, way: list[str]) -> None:
        old, new = enter_folder(from_, way[:-1]), enter_folder(to, way[:-1], [])
        try:
            move(way[-1], old, new)
        finally:
            os.close(old)
            os.close(new)

    @staticmethod
    def _dress(like: Found, from_: int, to: int, way: list[str]) -> None:
        """Give one folder owner, mode and attributes of another; it keeps what is in it."""
        old, new = enter_folder(from_, way[:-1]), enter_folder(to, way[:-1], [])
        try:
            with suppress(FileExistsError):
                os.mkdir(way[-1], 0o700, dir_fd=new)
            apply(entry_of(replace(like, folder=old)), new, way[-1], by_name=False)
        finally:
            os.close(old)
            os.close(new)


def move(base: str, old: int, new: int) -> None:
    """Move something from one folder to another of the same file system."""
    os.rename(base, base, src_dir_fd=old, dst_dir_fd=new)


def _stat(top: int, way: list[str]) -> os.stat_result | None:
    with suppress(FileNotFoundError, NotADirectoryError):
        folder = enter_folder(top, way[:-1])
        try:
            return os.stat(way[-1], dir_fd=folder, follow_symlinks=False)
        finally:
            os.close(folder)
    return None
