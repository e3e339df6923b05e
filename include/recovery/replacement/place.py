"""The folders of one replacement, what it has done so far, and the exchange of the two clusters by renames.

    <parent>/<name>                    the cluster's own place
    <parent>/<name>.lifeboat-<key>/    the new cluster until it takes that place, and the journal
    <parent>/<name>.before-<key>       what was there, from then on; nobody removes it but people

All three are in one folder, so that the exchange is two renames and costs no copying. The journal is a file beside the
new cluster: whatever kills a step, the next try reads there what is done.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from include.recovery.errors import LeaseHeld, Refused
from include.recovery.evidence.records import key_time
from include.recovery.evidence.words import size
from include.recovery.pgbackrest.archiver import free_bytes
from include.recovery.replacement.found import directory_id
from include.recovery.runbook.safeguard import safety_directory

RECOVERED, PLACED, STARTED = "recovered", "placed", "started"
_SPARE = 1.1
"""A cluster grows while its WAL is replayed."""


@dataclass(frozen=True)
class Place:
    """Where one replacement happens.

    :param data: the cluster's own place, all links resolved.
    :param key: of the plan; the same for every try.
    :param aside: where the old one is kept, as the plan says.
    """

    data: Path
    key: str
    aside: Path

    @classmethod
    def of(cls, data: Path, at: datetime) -> Place:
        """The folders of a plan.

        :param at: when the plan was made.
        """
        place = os.path.realpath(data)
        return cls(Path(place), key_time(at).lower(), Path(safety_directory(place, at)))

    @property
    def work(self) -> Path:
        """The new cluster's folder until it has taken the old one's place."""
        return self.data.with_name(f"{self.data.name}.lifeboat-{self.key}")

    @property
    def new(self) -> Path:
        """The new cluster."""
        return self.work / "data"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One step at a time, whoever takes it: a task that outlived its supervisor, its retry, a person.

        :raises LeaseHeld: when another process works here.
        """
        path = self.data.with_name(f".{self.data.name}.lifeboat.lock")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LeaseHeld(
                    f"another process is replacing the cluster in {self.data} right now (it holds {path}); wait for "
                    "it, or end it"
                ) from None
            yield
        finally:
            os.close(descriptor)

    def done(self, step: str) -> dict[str, Any] | None:
        """What a step has noted; None when it has not been done."""
        return self._journal().get(step)

    def mark(self, step: str, **noted: Any) -> None:
        """Note that a step is done."""
        self.work.mkdir(mode=0o700, exist_ok=True)
        new = self.work / "journal.new"
        with new.open("w", encoding="utf-8") as file:
            json.dump({**self._journal(), step: noted}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        new.rename(self.work / "journal.json")

    def require_room(self, needed: int) -> None:
        """Nothing when the new cluster fits beside the old one and can take its place.

        :param needed: bytes of the restored cluster.
        :raises Refused: when it does not, or cannot.
        """
        if os.path.ismount(self.data):
            raise Refused(
                f"{self.data} is a mount point, which cannot be renamed, so what is there could not be kept; mount its "
                "file system one level higher and keep the cluster in a folder of it"
            )
        if not os.access(self.data.parent, os.W_OK | os.X_OK):
            raise Refused(
                f"{self.data.parent} may not be written to by user id {os.geteuid()}, so the old cluster cannot be "
                "kept beside the new one; give the server's operating-system user that right"
            )
        if self.aside.exists():
            raise Refused(f"{self.aside} exists already, so what is there now cannot be kept there; make a new plan")
        free = free_bytes(str(self.data.parent))
        wanted = int(needed * _SPARE)
        if wanted > (free or 0) and not self.new.exists():
            raise Refused(
                f"{self.data.parent} has {size(free or 0)} free, and the restored cluster needs {size(wanted)} beside "
                f"the old one, which is kept; make room: older safety copies are there as {self.data.name}.before-..."
            )

    def exchange(self, expected: str) -> None:
        """Keep the old cluster aside and put the new one in its place. Tried again, it goes on where it stopped.

        :param expected: identity of the old directory, as the interlock has just let it pass; empty when there is none.
        :raises Refused: when something else is there, or there is no new cluster.
        """
        recovered = self.done(RECOVERED)
        if recovered is None:
            raise Refused(f"no cluster has recovered in {self.work} yet; nothing was exchanged")
        if self.in_place:
            return
        if not self.new.is_dir():
            raise Refused(f"the restored cluster is not in {self.new} any more; nothing was exchanged, restore again")
        there = directory_id(self.data)
        if there:
            if there != expected:
                raise Refused(f"{self.data} is another directory than the one that was approved; make a new plan")
            if self.aside.exists():
                raise Refused(f"{self.aside} exists already, so the old cluster cannot be kept there; plan again")
            self.data.rename(self.aside)
        self.new.rename(self.data)
        _settle(self.data.parent)

    def exchange_back(self) -> bool:
        """Put the old cluster back, the new one beside it; whether there was anything to put back."""
        if self.in_place:
            self.data.rename(self.new)
        if self.data.exists() or not self.aside.exists():
            return False
        self.aside.rename(self.data)
        _settle(self.data.parent)
        return True

    @property
    def in_place(self) -> bool:
        """Whether the new cluster is where the old one was."""
        recovered = self.done(RECOVERED)
        return recovered is not None and directory_id(self.data) == recovered["directory_id"]

    @property
    def kept(self) -> Path | None:
        """Where what was there is kept; None when there was nothing."""
        return self.aside if self.aside.exists() else None

    def forget_secrets(self) -> None:
        """Remove what was needed to restore: a configuration with the repository's keys, and a socket's folder."""
        for name in ("pgbackrest", "socket", "tablespaces"):
            shutil.rmtree(self.work / name, ignore_errors=True)

    def _journal(self) -> Mapping[str, dict[str, Any]]:
        try:
            found: dict[str, dict[str, Any]] = json.loads((self.work / "journal.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return found


def _settle(folder: Path) -> None:
    """Make renames in a folder survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
