"""What stands in the way of a backup, in sentences that name all of it; and the look ahead that finds it early."""

from __future__ import annotations

import os
import stat as modes
from collections.abc import Iterable
from itertools import islice

from include.recovery.content.compare import shown
from include.recovery.errors import InsufficientRights, SourceError
from include.recovery.files.entry import type_of
from include.recovery.files.paths import Skipped
from include.recovery.files.walk import roots_of, walk
from include.recovery.policy.source_kinds.files import FilesSource

_NAMED = 100
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def look_ahead(source: FilesSource) -> str:
    """Whether every file can be read, in a clause: each is opened, and none is read.

    :raises SourceError: naming what is missing.
    :raises InsufficientRights: naming everything that cannot be read.
    """
    check_roots(source.paths)
    unreadable: dict[str, str] = {}
    files = size = 0

    def trouble(name: str, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # gone since the folder was listed: the backup itself will tell
            unreadable[name] = error.strerror or "no permission"

    with roots_of(source.paths) as roots:
        for found in walk(roots, trouble, skip=Skipped(source.paths, source.exclude)):
            files += type_of(found.stat) is not None
            if not modes.S_ISREG(found.stat.st_mode):
                continue
            size += found.stat.st_size
            try:
                os.close(os.open(found.base, _READ, dir_fd=found.folder))
            except OSError as error:
                trouble(found.name, error)
    refuse_unreadable(unreadable)
    return f"{files:,} files and folders, {size:,} bytes, all can be read"


def check_roots(paths: Iterable[str]) -> None:
    """:raises SourceError: when a path of the policy is missing, or leads elsewhere."""
    missing, links = set(), []
    for path in paths:
        try:
            stat = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            missing.add(path)
            continue
        except OSError as error:
            raise InsufficientRights(f"{shown(path)} cannot be looked at: {error.strerror}") from error
        if modes.S_ISLNK(stat.st_mode):
            links.append(f"{shown(path)} is a symbolic link to {shown(os.path.realpath(path))}")
        elif type_of(stat) is None:
            links.append(f"{shown(path)} is a socket or a device")
    refuse_missing(missing)
    if links:
        raise SourceError(
            f"{named(links)}; links are kept as links and never followed, so name the folder or file itself in paths"
        )


def refuse_missing(missing: set[str]) -> None:
    """:raises SourceError: when there is anything."""
    if missing:
        raise SourceError(
            f"missing: {named(shown(name) for name in sorted(missing))}; mount or restore what the policy names in "
            "paths, or take it out there"
        )


def refuse_unreadable(unreadable: dict[str, str]) -> None:
    """:raises InsufficientRights: when there is anything."""
    if unreadable:
        raise InsufficientRights(
            f"cannot be read: {named(f'{shown(name)} ({why})' for name, why in unreadable.items())}; let the worker's "
            "user read them (run it as root, or give it CAP_DAC_READ_SEARCH), or exclude them with a reason"
        )


def named(what: Iterable[str]) -> str:
    """Many things in a sentence: the first hundred by name, the rest counted."""
    rest = iter(what)
    first = list(islice(rest, _NAMED))
    more = sum(1 for _ in rest)
    return ", ".join(first) + (f" and {more} more" if more else "")
