"""Items of a source that lists them in another order than that of their names: sorted with flat memory.

Runs of a fixed number of items are sorted in memory and go to nameless temporary files (compressed, gone with the
process), which are merged at the end. The disk holds name, digest and size of each item for that long, never content.
"""

from __future__ import annotations

import heapq
import io
import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from operator import attrgetter
from types import TracebackType
from typing import BinaryIO, Self, cast

import zstandard

from include.recovery.content.inventory import read_items
from include.recovery.content.model import Item
from include.recovery.errors import SourceError

IN_MEMORY = 100_000
"""Items of one run; some 40 MB."""
RUNS = 32
"""So many runs are merged into one before there are more, so that few files are open at once."""
_ORDER = attrgetter("order")


class Sorter:
    """Takes items in any order and gives them in the order of their names. Use it as a context manager.

    :param in_memory: items of one run.
    """

    def __init__(self, *, in_memory: int = IN_MEMORY) -> None:
        self._limit = in_memory
        self._items: list[Item] = []
        self._runs: list[BinaryIO] = []
        self._files = ExitStack()

    def add(self, item: Item) -> None:
        """Take an item in."""
        self._items.append(item)
        if len(self._items) >= self._limit:
            self._runs.append(self._written(sorted(self._items, key=_ORDER)))
            self._items = []
            if len(self._runs) >= RUNS:
                runs, self._runs = self._runs, []
                self._runs = [self._written(_merged(runs))]
                for run in runs:
                    run.close()

    def sorted(self, *, repeated: bool = False) -> Iterator[Item]:
        """All items in order; once.

        :param repeated: whether the same item may come twice, which is then given once.
        :raises SourceError: when a name came twice with another content, or at all.
        """
        self._items.sort(key=_ORDER)
        last: Item | None = None
        for item in heapq.merge(self._items, _merged(self._runs), key=_ORDER):
            if last is not None and item.order == last.order:
                if repeated and item == last:
                    continue
                raise SourceError(
                    f"{item.name!r} was found twice in one reading, so the source was changed meanwhile; try again"
                )
            last = item
            yield item

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()

    def _written(self, items: Iterable[Item]) -> BinaryIO:
        file = tempfile.TemporaryFile(prefix="lifeboat-items-")  # noqa: SIM115 - open until all runs are merged
        run = cast("BinaryIO", self._files.enter_context(file))
        with zstandard.ZstdCompressor(level=1).stream_writer(run, closefd=False) as stream:
            for item in items:
                stream.write(json.dumps((item.name, item.digest, item.size, item.at)).encode() + b"\n")
        return run


def _merged(runs: list[BinaryIO]) -> Iterator[Item]:
    return heapq.merge(*map(_read, runs), key=_ORDER)


def _read(run: BinaryIO) -> Iterator[Item]:
    run.seek(0)
    with zstandard.ZstdDecompressor().stream_reader(run, closefd=False) as stream:
        lines = io.BufferedReader(cast("io.RawIOBase", stream))
        yield from read_items(lines, "a temporary file of sorted items")
