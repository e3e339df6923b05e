"""Owner, mode, extended attributes and times of an extracted file; and what this process could not set.

A worker that is not root can give nothing away, and a file system may know no extended attributes. What was wanted and
could not be set is not lost: it is a ``Lack``, which a copy keeps beside its tree, and which putting back refuses.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat as modes
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from include.recovery.files.entry import Entry, Owner, Xattrs, xattrs_of

_REFUSED = {errno.EPERM, errno.EACCES, errno.ENOTSUP}
_ACLS = ("system.posix_acl_access", "system.posix_acl_default")
_SET_ID = modes.S_ISUID | modes.S_ISGID


@dataclass(frozen=True, slots=True)
class Lack:
    """What a file has instead of what it should have. None where it has just that.

    :param owner: (what it has, what it should have); so for the others.
    """

    owner: tuple[Owner, Owner] | None = None
    mode: tuple[int, int] | None = None
    xattrs: tuple[Xattrs, Xattrs] | None = None

    def __bool__(self) -> bool:
        return (self.owner or self.mode or self.xattrs) is not None


def apply(entry: Entry, folder: int, base: str, *, by_name: bool) -> Lack:
    """Give a thing that we have just made everything that its entry says.

    :param folder: descriptor of the folder that it is in; nobody else can write there.
    :param by_name: whether users and groups that this machine knows by name get their numbers here.
    :raises OSError: when something fails for another reason than missing rights or abilities.
    """
    wanted = here(entry.owner) if by_name else entry.owner
    got = _own(wanted, folder, base)
    owned = (got.uid, got.gid) == (wanted.uid, wanted.gid)
    path = f"/proc/self/fd/{folder}/{base}"
    refused = _mark(entry, path)
    stat = os.stat(base, dir_fd=folder, follow_symlinks=False)
    mode = None if modes.S_ISLNK(stat.st_mode) else _permit(entry, folder, base, owned=owned)
    found = xattrs_of(path)
    xattrs = (found, entry.xattrs) if found != entry.xattrs and _excused(found, entry.xattrs, refused) else None
    os.utime(base, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=folder, follow_symlinks=False)
    matched = owned if by_name else got == entry.owner
    return Lack(None if matched else (got, entry.owner), mode, xattrs)


def _own(wanted: Owner, folder: int, base: str) -> Owner:
    """Give a thing to its owner, as far as we may; whose it is then."""
    stat = os.stat(base, dir_fd=folder, follow_symlinks=False)
    if (stat.st_uid, stat.st_gid) != (wanted.uid, wanted.gid):
        with suppress(PermissionError):
            os.chown(base, wanted.uid, wanted.gid, dir_fd=folder, follow_symlinks=False)
        stat = os.stat(base, dir_fd=folder, follow_symlinks=False)
    return Owner.of(stat)


def _mark(entry: Entry, path: str) -> set[str]:
    """Set the extended attributes, and remove ACLs that the folder above has passed on; the names that were refused."""
    refused = set()
    for name, value in entry.xattrs:
        try:
            os.setxattr(path, name, value, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _REFUSED:
                raise
            refused.add(name)
    wanted = {name for name, _ in entry.xattrs}
    for name, _ in xattrs_of(path):
        if name in _ACLS and name not in wanted:
            os.removexattr(path, name, follow_symlinks=False)
    return refused


def _permit(entry: Entry, folder: int, base: str, *, owned: bool) -> tuple[int, int] | None:
    wanted = entry.mode if owned else entry.mode & ~_SET_ID
    if os.geteuid() != 0:
        # Otherwise the copy could not be read again to be compared.
        wanted |= {"folder": 0o700, "file": 0o400}.get(entry.type, 0)
    os.chmod(base, wanted, dir_fd=folder)
    found = modes.S_IMODE(os.stat(base, dir_fd=folder, follow_symlinks=False).st_mode)
    if found == entry.mode or (found != wanted and found != wanted & ~modes.S_ISGID):
        return None
    return found, entry.mode


def _excused(found: Xattrs, wanted: Xattrs, refused: set[str]) -> bool:
    """Whether the difference is one that we could not help: refused, or labels that the machine gives by itself."""
    different = {name for name, _ in set(found) ^ set(wanted)}
    return all(name in refused or name.startswith("security.") for name in different)


@cache
def here(owner: Owner) -> Owner:
    """An owner with the numbers that the names have on this machine, where it knows them."""
    uid, gid = owner.uid, owner.gid
    with suppress(KeyError):
        uid = pwd.getpwnam(owner.user).pw_uid if owner.user else uid
    with suppress(KeyError):
        gid = grp.getgrnam(owner.group).gr_gid if owner.group else gid
    return Owner(uid, gid, owner.user, owner.group)
