"""What is kept of a file, folder, link or fifo: everything that the file system knows of it; and its digest."""

from __future__ import annotations

import base64
import errno
import fcntl
import grp
import hashlib
import json
import os
import pwd
import stat as modes
import sys
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from include.recovery.content.model import Item
from include.recovery.files.walk import Found

Type = Literal["file", "folder", "link", "fifo"]
Xattrs = tuple[tuple[str, bytes], ...]
_TYPES: dict[int, Type] = {
    modes.S_IFREG: "file", modes.S_IFDIR: "folder", modes.S_IFLNK: "link", modes.S_IFIFO: "fifo",
}  # fmt: skip
_GET_FLAGS = 0x80086601
_FLAGS = {0x10: "i", 0x20: "a", 0x08: "S", 0x40: "d", 0x80: "A"}
_NO_XATTRS = {errno.ENOTSUP, errno.ENODATA}


@dataclass(frozen=True, slots=True)
class Owner:
    """To whom a thing belongs: by number, and by the name that the number has on its machine (empty for none)."""

    uid: int
    gid: int
    user: str
    group: str

    @classmethod
    def of(cls, stat: os.stat_result) -> Owner:
        """As this machine names them."""
        return cls(stat.st_uid, stat.st_gid, user_name(stat.st_uid), group_name(stat.st_gid))

    def __str__(self) -> str:
        return f"{self.user or self.uid}:{self.group or self.gid}"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is kept of one thing.

    :param name: its absolute path.
    :param mode: the permission bits, with set-user-id, set-group-id and sticky.
    :param size: bytes of a file's content.
    :param target: of a symbolic link.
    :param same_as: the first name of the same file, for each further hard link.
    :param xattrs: extended attributes in order; ACLs are among them.
    """

    name: str
    type: Type
    mode: int
    owner: Owner
    mtime_ns: int
    size: int = 0
    target: str = ""
    same_as: str = ""
    xattrs: Xattrs = ()

    def item(self, content: str = "") -> Item:
        """As the inventory has it. The time of a folder is not in its digest: a file that came and went in it moves it.

        :param content: digest of a file's bytes.
        """
        facts = [
            self.type, self.mode, self.owner.uid, self.owner.gid, self.owner.user, self.owner.group,
            self.mtime_ns if self.type != "folder" else 0, self.target, self.same_as,
            [[name, base64.b64encode(value).decode()] for name, value in self.xattrs], content,
        ]  # fmt: skip
        digest = hashlib.blake2b(json.dumps(facts, separators=(",", ":")).encode(), digest_size=32)
        return Item(self.name, digest.hexdigest(), self.size, self.same_as)


def type_of(stat: os.stat_result) -> Type | None:
    """None for a socket or a device, which are not kept."""
    return _TYPES.get(modes.S_IFMT(stat.st_mode))


def entry_of(found: Found, stat: os.stat_result | None = None) -> Entry:
    """What is to be kept of a thing; its content and its hard links are the caller's.

    :param stat: as it was measured later than the walk's.
    :raises OSError: when it cannot be looked at any more.
    """
    stat = stat or found.stat
    type_ = type_of(stat)
    if type_ is None:
        raise ValueError(f"{found.name!r} is a socket or a device")
    return Entry(
        found.name, type_, modes.S_IMODE(stat.st_mode), Owner.of(stat), stat.st_mtime_ns,
        size=stat.st_size if type_ == "file" else 0,
        target=os.readlink(found.base, dir_fd=found.folder) if type_ == "link" else "",
        xattrs=xattrs_of(found.path),
    )  # fmt: skip


def xattrs_of(path: str) -> Xattrs:
    """All that may be seen, in the order of their names; none where the file system knows none."""
    try:
        names = sorted(os.listxattr(path, follow_symlinks=False))
        return tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in names)
    except OSError as error:
        if error.errno in _NO_XATTRS:
            return ()
        raise


def flags_of(descriptor: int) -> str:
    """The letters of chattr that a file or folder has, of those that people set; no archive keeps them."""
    buffer = bytearray(8)
    try:
        fcntl.ioctl(descriptor, _GET_FLAGS, buffer)
    except OSError:
        return ""  # the file system knows none
    flags = int.from_bytes(buffer[:4], sys.byteorder)
    return "".join(letter for bit, letter in _FLAGS.items() if flags & bit)


class HardLinks:
    """The first name of every file that has several, by device and inode."""

    def __init__(self) -> None:
        self._first: dict[tuple[int, int], tuple[str, str]] = {}

    def known(self, stat: os.stat_result) -> tuple[str, str] | None:
        """The first name, and the digest of the content; None for the first itself."""
        return self._first.get((stat.st_dev, stat.st_ino)) if _has_several(stat) else None

    def keep(self, stat: os.stat_result, name: str, content: str) -> None:
        """Remember the first name of a file."""
        if _has_several(stat):
            self._first.setdefault((stat.st_dev, stat.st_ino), (name, content))


def linked(entry: Entry, first: str) -> Entry:
    """The entry of a further hard link."""
    return replace(entry, same_as=first)


def _has_several(stat: os.stat_result) -> bool:
    return stat.st_nlink > 1 and not modes.S_ISDIR(stat.st_mode)


@cache
def user_name(uid: int) -> str:
    """As this machine names a user; empty when it knows none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


@cache
def group_name(gid: int) -> str:
    """As this machine names a group; empty when it knows none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return ""
