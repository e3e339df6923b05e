"""A state in a file, as Terraform's backend ``local`` keeps it: locked by a POSIX lock on the file itself."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from include.recovery.errors import InsufficientRights, SourceError
from include.recovery.terraform.backend import Held, LockedError, lock_info
from include.recovery.terraform.document import MOST


class FileState:
    """See ``backend.Backend``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._note = path.with_name(f".{path.name}.lock.info")

    @property
    def where(self) -> str:
        """For messages."""
        return f"Terraform state {self._path}"

    def check(self) -> str:
        """Whether it can be read."""
        with self._open():
            return f"a file of {self._path.stat().st_size} bytes"

    def read(self) -> bytes:
        """The state, under a shared lock."""
        with self._open() as file:
            self._lock(file, fcntl.LOCK_SH)
            return self._content(file)

    @contextmanager
    def locked(self, now: datetime) -> Iterator[None]:
        """Hold Terraform's lock, and leave its note."""
        self._path.touch(mode=0o600)  # a state that is lost is locked too
        try:
            with self._path.open("r+b") as file:
                self._lock(file, fcntl.LOCK_EX)
                self._note.write_bytes(lock_info(str(self._path), now))
                try:
                    # Closing any descriptor of the file would give the lock up, so all is read through this one.
                    self._held = file
                    yield
                finally:
                    self._note.unlink(missing_ok=True)
        finally:
            if self._path.exists() and self._path.stat().st_size == 0:
                self._path.unlink()

    def current(self) -> bytes | None:
        """The state under our lock."""
        self._held.seek(0)
        return self._content(self._held) or None

    def keep_aside(self, now: datetime) -> str:
        """A copy beside it, with its owner's rights."""
        aside = self._path.with_name(f"{self._path.name}.before-{now:%Y%m%dT%H%M%S}-{secrets.token_hex(2)}")
        self._write(aside, self.current() or b"")
        return str(aside)

    def write(self, data: bytes) -> None:
        """A new file takes the place of the old one."""
        new = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}")
        try:
            self._write(new, data)
            new.rename(self._path)
        finally:
            new.unlink(missing_ok=True)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _write(self, path: Path, data: bytes) -> None:
        with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(self._path, path)
        before = self._path.stat()
        with contextlib.suppress(PermissionError):  # only root may give files away
            os.chown(path, before.st_uid, before.st_gid)

    def _open(self) -> BinaryIO:
        try:
            return self._path.open("rb")
        except FileNotFoundError as error:
            raise SourceError(f"{self.where} does not exist; see 'path' in the policy") from error
        except PermissionError as error:
            raise InsufficientRights(
                f"{self.where} may not be read by uid {os.geteuid()}; give it the right"
            ) from error

    def _lock(self, file: BinaryIO, how: int) -> None:
        try:
            fcntl.lockf(file, how | fcntl.LOCK_NB)
        except OSError:
            note = self._note.read_bytes() if self._note.exists() else b""
            raise LockedError(Held.from_info(note)) from None

    def _content(self, file: BinaryIO) -> bytes:
        size = os.fstat(file.fileno()).st_size
        if size > MOST:
            raise SourceError(f"{self.where} has {size} bytes; at most {MOST} are read")
        return file.read()
