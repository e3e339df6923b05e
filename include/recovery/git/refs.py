"""Refs as one moment shows them.

A repository has no snapshot of all of its refs, and a listing takes a while. So it is read until two listings in a row
are equal: what both show was there at the same time.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from include.recovery.errors import SourceError, SourceUnavailable
from include.recovery.git.tool import Git

HEAD = "HEAD"
ASIDE = "refs/lifeboat/"
"""Where putting back keeps the refs that it changes; no part of any backup."""
ATTEMPTS = 6
_LISTING = "--format=%(objectname) %(symref) %(refname)"
_SYMBOLIC = "ref: "
_BROKEN = re.compile(r"ignoring broken ref (\S+)")
_DANGLING = re.compile(r"ignoring dangling symref (\S+)")


class Ref(NamedTuple):
    """A ref.

    :param object_id: what it points to, through a symbolic one too.
    :param target: of a symbolic ref: the ref that it names; else empty.
    """

    name: str
    object_id: str
    target: str = ""

    @property
    def digest(self) -> str:
        """What a restore must bring back, in one line."""
        return f"{_SYMBOLIC}{self.target}" if self.target else self.object_id

    @property
    def order(self) -> bytes:
        """By which refs are sorted."""
        return os.fsencode(self.name)


@dataclass(frozen=True)
class Refs:
    """All refs of a moment, in the order of their names' bytes.

    :param head: what HEAD says: ``ref: refs/heads/main``, or an object id; empty when nobody knows.
    :param head_id: the object that HEAD leads to; None when its branch has no commit.
    """

    refs: tuple[Ref, ...]
    head: str = ""
    head_id: str | None = None

    @property
    def head_target(self) -> str:
        """The branch that HEAD names; empty when it names a commit, or is not known."""
        return self.head.removeprefix(_SYMBOLIC) if self.head.startswith(_SYMBOLIC) else ""

    @property
    def object_format(self) -> str:
        """How objects are named here."""
        return "sha256" if self.refs and len(self.refs[0].object_id) == 64 else "sha1"

    def by_name(self) -> dict[str, Ref]:
        """To look one up."""
        return {ref.name: ref for ref in self.refs}

    def without(self, patterns: Iterable[str]) -> tuple[Refs, dict[str, int]]:
        """The refs that no pattern matches, and how many each of them took away."""
        taken = dict.fromkeys(patterns, 0)
        kept = []
        for ref in self.refs:
            pattern = next((each for each in taken if matches(ref.name, each)), None)
            if pattern is None:
                kept.append(ref)
            else:
                taken[pattern] += 1
        return Refs(tuple(kept), self.head, self.head_id), taken


def symbolic_target(digest: str) -> str:
    """The ref that a digest names; empty for an object id."""
    return digest.removeprefix(_SYMBOLIC) if digest.startswith(_SYMBOLIC) else ""


def matches(name: str, pattern: str) -> bool:
    """Whether a pattern takes a ref: its whole name, its beginning up to a slash, or a shell pattern over all of it."""
    return name == pattern or name.startswith(pattern.rstrip("/") + "/") or fnmatchcase(name, pattern)


def in_order(refs: Iterable[Ref]) -> tuple[Ref, ...]:
    """Sorted by the bytes of their names."""
    return tuple(sorted(refs, key=lambda ref: ref.order))


def parse_listing(data: bytes) -> tuple[Ref, ...]:
    """The refs in what ``for-each-ref`` prints (see ``_LISTING``)."""
    found = []
    for line in data.splitlines():
        object_id, target, name = os.fsdecode(line).split(" ", 2)
        found.append(Ref(name, object_id, target))
    return in_order(found)


def parse_remote(data: bytes) -> Refs:
    """The refs in what ``ls-remote --symref`` prints; a tag's own target (``^{}``) is no ref."""
    objects: dict[str, str] = {}
    targets: dict[str, str] = {}
    for line in data.splitlines():
        what, name = os.fsdecode(line).split("\t", 1)
        if what.startswith(_SYMBOLIC):
            targets[name] = what.removeprefix(_SYMBOLIC)
        elif not name.endswith("^{}"):
            objects[name] = what
    head_id = objects.pop(HEAD, None)
    head = f"{_SYMBOLIC}{targets[HEAD]}" if HEAD in targets else head_id or ""
    return Refs(in_order(Ref(name, each, targets.get(name, "")) for name, each in objects.items()), head, head_id)


def read_local(git: Git, folder: Path) -> tuple[Refs, tuple[str, ...]]:
    """The refs of a repository on this machine.

    :param folder: its own (``--git-dir``).
    :return: also the names of symbolic refs that lead nowhere.
    :raises SourceError: when a ref is broken, naming it.
    :raises SourceUnavailable: when they never stand still.
    """
    last = None
    for _ in range(ATTEMPTS):
        found = _read_once(git, folder)
        if found == last:
            return found
        last = found
    raise SourceUnavailable(f"{git.where}: its refs change faster than they can be listed; try again when it is calm")


def read_remote(git: Git, url: str) -> Refs:
    """The refs that a server shows.

    :raises LifeboatError: when it does not answer, or refuses.
    """
    return parse_remote(git.run("ls-remote", "--symref", "--", url, doing="listing its refs"))


def _read_once(git: Git, folder: Path) -> tuple[Refs, tuple[str, ...]]:
    doing = "listing its refs"
    with git.stream("for-each-ref", _LISTING, doing=doing, at=folder) as child:
        listing = child.stdout.read()
        said = child.stderr
    if broken := _BROKEN.findall(said):
        raise SourceError(
            f"{git.where}: {', '.join(broken[:10])} cannot be read and leads nowhere; restore it from the newest "
            f"backup, or remove it with `git update-ref -d`"
        )
    symbolic = git.ask("symbolic-ref", "--quiet", HEAD, at=folder)
    resolved = git.ask("rev-parse", "--verify", "--quiet", "--end-of-options", HEAD, at=folder)
    head_id = resolved.out.decode().strip() if resolved.ok else None
    head = _SYMBOLIC + os.fsdecode(symbolic.out.rstrip(b"\n")) if symbolic.ok else head_id or ""
    return Refs(parse_listing(listing), head, head_id), tuple(_DANGLING.findall(said))
