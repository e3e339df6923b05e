"""What a kind of source has to be able to do. Each is a module of ``include/recovery/sources/`` with a ``KIND``.

A *site* is the source where people use it. A *copy* is what a restore made of a backup in a folder of its own: files,
or a server that was started there. A drill restores to a copy, lists its items and compares them with the inventory
that was written while the backup was taken. Putting back is for incidents: it changes the site, and first keeps aside
what is there.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, Protocol, TypeVar, runtime_checkable

from include.recovery.content.model import Item
from include.recovery.evidence.model import Check
from include.recovery.fingerprint.model import NotCompared
from include.recovery.parts.progress import NO_PROGRESS, Progress
from include.recovery.policy.content_models import ContentSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.recovery.catalog.model import CompleteBackup, Manifest
    from include.recovery.connections import ConnectionInfo
    from include.recovery.content.compare import Change
    from include.recovery.policy.models import ProtectedSystem
    from include.recovery.workspace import Workspace

Of_contra = TypeVar("Of_contra", bound=ContentSource, contravariant=True)
In_co = TypeVar("In_co", bound=ContentSource, covariant=True)


@dataclass(frozen=True)
class Site(Generic[In_co]):
    """A source where people use it, and what work on it needs.

    :param stop: ends the work when set.
    :param now: tells the time, UTC.
    :param beside: the backup that live items are listed to be compared with, where there is one: for kinds whose
        digests are keyed anew for each backup.
    """

    workspace: Workspace
    system: ProtectedSystem
    source: In_co
    progress: Progress = NO_PROGRESS
    stop: threading.Event = field(default_factory=threading.Event)
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC), repr=False)
    beside: Stored | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.system.system}/{self.source.name}"

    def connection(self, name: str) -> ConnectionInfo:
        """A connection that the policy names."""
        return self.workspace.connections(name)


@dataclass(frozen=True)
class Selection:
    """Which items to restore.

    :param prefixes: names that are wanted, or beginnings of names; empty means everything.
    :param exact: whole names, and no beginnings of others.
    """

    prefixes: tuple[str, ...] = ()
    exact: bool = False

    def wants(self, name: str) -> bool:
        """Whether an item is among them."""
        if self.exact and self.prefixes:
            return name in self.prefixes
        return not self.prefixes or name.startswith(self.prefixes)


EVERYTHING = Selection()


class Sink(Protocol):
    """What a kind writes a backup through. Parts may be stored by several threads at once; items come from one."""

    def store(self, stream: BinaryIO, name: str, *, finished: Callable[[], None] | None = None) -> None:
        """Store a stream as a part; nothing touches the disk.

        :param name: of the part, unique in the backup: lower case, digits, hyphens.
        :param finished: called at the stream's end; raises when its producer failed.
        """

    def writing(self, name: str) -> AbstractContextManager[BinaryIO]:
        """A stream to write a part to, for producers that write: it is stored when the block ends well."""

    def item(self, item: Item) -> None:
        """Enter an item into the inventory. Items come in the order of their names' bytes."""

    def leave_out(self, what: str, why: str) -> None:
        """Say what the backup does not hold. Nothing is ever left out silently."""


class Stored(Protocol):
    """What a kind reads a backup through."""

    backup: CompleteBackup

    @property
    def manifest(self) -> Manifest:
        """Of the backup."""

    def open(self, part: str) -> AbstractContextManager[BinaryIO]:
        """A part's content; read it to the end, since only there it is known to be whole.

        :raises PartMissing, PartDamaged: also while it is read.
        """

    def items(self) -> Iterator[Item]:
        """The inventory: what the source held, in order."""


@dataclass(frozen=True)
class Captured:
    """What a kind knows of a backup that it has just taken.

    :param snapshot_at: the moment whose state the backup holds; where that is none single, its beginning.
    :param server_version: of what was backed up; empty where there is no server.
    :param tools: name to version.
    :param size: bytes of the source.
    :param lsn: a position in the source's own log, such as an oplog time, a revision, a generation.
    :param not_compared: what the items do not cover, and why.
    :param notes: what people should know; they join the backup's own note.
    """

    snapshot_at: datetime
    server_version: str = ""
    tools: dict[str, str] = field(default_factory=dict)
    size: int = 0
    lsn: str | None = None
    not_compared: tuple[NotCompared, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Restored:
    """What a restore to a copy did.

    :param fetched: stored bytes that were read.
    :param target: where the copy is, in words.
    :param notes: what people should know.
    """

    fetched: int
    target: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PutBack:
    """What putting back did.

    :param changed: items that are another now.
    :param aside: where what was there before is kept.
    """

    changed: int
    aside: str
    notes: tuple[str, ...] = ()


@runtime_checkable
class PartlyCompared(Protocol):
    """A kind whose copies may lack something that this worker could not give them, such as owners without root."""

    def not_compared(self, site: Site[Any], folder: Path) -> Sequence[NotCompared]:
        """What comparing this copy proves nothing about, and why."""


class Kind(Protocol[Of_contra]):
    """A kind of source."""

    @property
    def name(self) -> str:
        """As policies say it."""

    @property
    def unit(self) -> str:
        """What an item is, in one word: ``file``, ``object``, ``document``."""

    def describe(self, source: Of_contra) -> str:
        """What the source is, in words."""

    def precheck(self, site: Site[Of_contra]) -> str:
        """Whether it can be backed up completely, in a clause.

        :raises InsufficientRights, SourceError, SourceUnavailable: naming all that is in the way.
        """

    def capture(self, site: Site[Of_contra], sink: Sink) -> Captured:
        """Back it up: write its parts, and enter each of its items as it was when it was read.

        :raises SourceError: when something changed while it was read, so that no backup of it can be right.
        """

    def live_items(self, site: Site[Of_contra]) -> Iterator[Item]:
        """What it holds now, in order: to see whether it changed, and what putting back would change."""

    def restore(self, site: Site[Of_contra], stored: Stored, folder: Path, only: Selection = EVERYTHING) -> Restored:
        """Make a copy from a backup in a folder; a server that it needs is started there, reachable only from here.

        What an earlier try has left in the folder is replaced. The site is not touched, and need not be there.

        :param folder: absolute; its parent exists.
        """

    def items(self, site: Site[Of_contra], folder: Path) -> Iterator[Item]:
        """What a copy holds, in order, measured anew from the copy alone."""

    def questions(self, site: Site[Of_contra], folder: Path) -> Sequence[Check]:
        """Questions of its own to a copy (``git fsck``, a query of the policy); empty when it has none."""

    def discard(self, folder: Path) -> None:
        """End what runs in a copy's folder and remove it. Nothing there is fine too."""

    def put_back(self, site: Site[Of_contra], stored: Stored, only: Selection = EVERYTHING) -> PutBack:
        """Make the site hold what the backup holds, and keep aside first what it would lose. Safe to run again.

        Whoever calls has shown the changes and has leave: see ``verbs.put_back``.
        """


@runtime_checkable
class Previews(Protocol[Of_contra]):
    """A kind that can tell what putting back would change for less than the price of reading all that it holds now."""

    def preview(self, site: Site[Of_contra], stored: Stored, only: Selection = EVERYTHING) -> Iterator[Change]:
        """Exactly what putting back would change, in order; nothing is touched."""
