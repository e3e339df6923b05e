"""Tables, progress bars and JSON. Results go to standard output; everything else to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from include.recovery.catalog.model import ProofLevel
from include.recovery.parts.progress import Progress as ProgressPort

_LEVELS = {
    ProofLevel.STORED: "yellow",
    ProofLevel.REPLICATED: "yellow",
    ProofLevel.RESTORED: "yellow",
    ProofLevel.IDENTICAL: "green",
    ProofLevel.VALIDATED: "green",
}

_LONGEST_LINE = 10_000


def out() -> Console:
    """Where results go. A pipe gets lines as long as they are."""
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def err() -> Console:
    """Where everything else goes."""
    return Console(stderr=True, highlight=False)


def say(text: str, style: str = "") -> None:
    """One line for people."""
    err().print(Text(text, style=style), soft_wrap=True)


def put_json(value: Any) -> None:
    """A result for programs."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def put_table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]], *, title: str | None = None) -> None:
    """A result for people."""
    table = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*row)
    console = out()
    if not console.is_terminal:
        # Nobody wraps lines in a file; a table cut to 80 columns is of no use in one.
        natural = console.measure(table, options=console.options.update_width(_LONGEST_LINE)).maximum
        console = Console(highlight=False, width=max(80, natural))
    console.print(table)


def put_facts(facts: Mapping[str, str | Text]) -> None:
    """Names and values, one pair a line."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, value)
    out().print(table)


def level_text(level: ProofLevel | None, *, damaged: bool = False) -> Text:
    """A proof level in its colour."""
    if damaged:
        return Text("damaged", style="red")
    return Text("none", style="red") if level is None else Text(level.value, style=_LEVELS[level])


def good_or_bad(text: str, good: bool | None) -> Text:
    """Green, red, or yellow for what is not known."""
    return Text(text, style={True: "green", False: "red", None: "yellow"}[good])


class Bar:
    """A progress bar that the engine feeds.

    :ivar stored: bytes read or written so far.
    """

    def __init__(self, progress: Progress, task: Any, by_content: bool) -> None:
        self._progress, self._task, self._by_content = progress, task, by_content
        self.stored = 0

    def add(self, part: str, stored: int, content: int) -> None:
        """So many more bytes are done."""
        self.stored += stored
        self._progress.advance(self._task, content if self._by_content else stored)


@contextmanager
def bar(what: str, total: int | None, *, by_content: bool = False) -> Iterator[ProgressPort]:
    """A progress bar on standard error; invisible where that is not a terminal.

    :param total: bytes, when they are known.
    :param by_content: count bytes before compression instead of stored ones.
    """
    console = err()
    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn(),
        TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        yield Bar(progress, progress.add_task(what, total=total), by_content)
