"""The refs of a repository as a backup has them; what they are now stays under ``refs/lifeboat/before-<time>/``.

Nothing is thrown away: a ref that changes or goes is kept aside first, so all that it led to stays. In a folder of this
machine all refs change in one transaction; on a server in one atomic push, each with a lease on what it was before.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from include.recovery.content.compare import shown
from include.recovery.content.port import PutBack
from include.recovery.errors import Refused, SourceError
from include.recovery.git import lfs
from include.recovery.git.copy import refs_of, restore_repository, touches
from include.recovery.git.frozen import Frozen, frozen
from include.recovery.git.refs import ASIDE, HEAD, Ref, Refs, read_local, read_remote

if TYPE_CHECKING:
    from include.recovery.content.port import Selection, Site, Stored
    from include.recovery.policy.source_kinds.git import GitSource

_TURNED, _KEPT_HEAD = "HEAD is ", "what HEAD was is kept in "
_AT_ONCE = 1000
"""Refs in one push; each is two words of a command line."""


class Move(NamedTuple):
    """A ref that becomes another.

    :param before: None when it is new.
    :param after: None when it goes.
    """

    name: str
    before: Ref | None
    after: Ref | None

    def aside(self, place: str) -> str:
        """The ref that keeps what it was."""
        return place + self.name.removeprefix("refs/")


def moves(present: Refs, wanted: Sequence[Ref], only: Selection) -> list[Move]:
    """What has to change, in the order of names. Pure."""
    now, then = present.by_name(), {ref.name: ref for ref in wanted}
    names = sorted({name for name in now if only.wants(name)} | then.keys(), key=os.fsencode)
    pairs = [Move(name, now.get(name), then.get(name)) for name in names]
    return [
        move for move in pairs if (move.before and move.before.digest) != (move.after and move.after.digest)
    ]


def put_back(site: Site[GitSource], stored: Stored, only: Selection) -> PutBack:
    """Put the refs back, and HEAD where it can be. Safe to run again: then nothing is left to change.

    :raises Refused: when nothing that was asked for is a ref, or root would write into somebody else's repository.
    """
    head, _ = refs_of(stored.items(), only)
    flaws = tuple(each.problem for each in site.source.known_flaws)
    with frozen(site, empty=True) as now, tempfile.TemporaryDirectory(prefix="lifeboat-git-") as private:
        copy = Path(private) / "copy.git"
        wanted = restore_repository(now.git, stored, copy, only, known_flaws=flaws)
        if not wanted.refs and not head:
            raise Refused(
                f"{site.name}: nothing that was asked for is a ref; files of the archive are restored to a folder"
            )
        place = f"{ASIDE}before-{site.now():%Y%m%dT%H%M%SZ}/"
        changing = moves(now.refs, wanted.refs, only)
        notes = []
        if now.address.local:
            _refuse_foreign(now)
            _change_folder(now, copy, changing, place)
            notes += _put_head(now, head, place)
            notes += _put_large_objects(now, stored, only)
            if now.origin.name == ".git":
                notes.append(f"the working tree of {now.address.text} is as it was: look at `git status` there")
        else:
            _push(now, copy, changing, place)
            if head and head != now.refs.head:
                notes.append(f"HEAD of the server is {now.refs.head or 'unknown'} and was {head}: set it there")
        _check(now, changing)
    lost = any(move.before for move in changing) or any(note.startswith(_KEPT_HEAD) for note in notes)
    turned = any(note.startswith(_TURNED) for note in notes)
    return PutBack(len(changing) + turned, place if lost else "nothing", tuple(notes))


def transaction(changing: Sequence[Move], place: str) -> list[bytes]:
    """Commands for ``update-ref --stdin -z``, one transaction each. Pure.

    Each names what the ref must be now, so a ref that has moved meanwhile stops all. A ref whose name begins with that
    of one that goes cannot be made in the same transaction as git lets that one go: then there are two.
    """
    aside = [
        _command("create", move.aside(place), move.before.object_id) for move in changing if move.before is not None
    ]
    gone = [move for move in changing if move.after is None]
    goes = [_command("delete", move.name, move.before.object_id) for move in gone if move.before is not None]
    comes = []
    for move in changing:
        if move.after is not None:
            none = "0" * len(move.after.object_id)
            before = move.before.object_id if move.before is not None else none
            comes.append(_command("update", move.name, move.after.object_id, before))
    names = {move.name for move in gone}
    clash = any(
        one.startswith(other + "/") or other.startswith(one + "/")
        for one in names for other in (move.name for move in changing if move.after is not None)
    )  # fmt: skip
    return [b"".join(aside + goes), b"".join(comes)] if clash else [b"".join(aside + goes + comes)]


def _command(verb: str, name: str, *ids: str) -> bytes:
    # Symbolic refs are changed themselves, and not the ref that they name.
    words = [b"option no-deref", f"{verb} ".encode() + os.fsencode(name), *(each.encode() for each in ids)]
    return b"\0".join(words) + b"\0"


def _change_folder(now: Frozen, copy: Path, changing: Sequence[Move], place: str) -> None:
    if not changing:
        return
    # Only objects: no ref has changed when this has failed.
    doing = "bringing the objects of the backup"
    now.git.run("fetch-pack", "--quiet", "--no-progress", "--all", copy, doing=doing, at=now.origin)
    for commands in transaction(changing, place):
        now.git.feed(
            "update-ref", "--stdin", "-z", stream=BytesIO(commands), doing="changing its refs", at=now.origin
        )
    for move in changing:
        if move.after is not None and move.after.target:
            now.git.run("symbolic-ref", move.name, move.after.target, doing="changing its refs", at=now.origin)


def _push(now: Frozen, copy: Path, changing: Sequence[Move], place: str) -> None:
    # What is kept aside is on the server already; here it is borrowed from the cache.
    if (now.origin / "objects").is_dir():
        (copy / "objects" / "info" / "alternates").write_text(f"{now.origin / 'objects'}\n", encoding="utf-8")
    aside = [(move.aside(place), move.before.object_id, "") for move in changing if move.before is not None]
    comes = [
        (move.name, move.after.object_id if move.after else "", move.before.object_id if move.before else "")
        for move in changing
    ]
    for changes in (aside, comes):
        for start in range(0, len(changes), _AT_ONCE):
            batch = changes[start : start + _AT_ONCE]
            leases = [f"--force-with-lease={name}:{before}" for name, _, before in batch]
            now.git.run(
                "push", "--quiet", "--atomic", "--no-verify", "--no-recurse-submodules", *leases, "--",
                now.address.text, *(f"{after}:{name}" for name, after, _ in batch),
                doing="pushing the refs of the backup", at=copy,
            )  # fmt: skip


def _put_head(now: Frozen, head: str, place: str) -> list[str]:
    if not head or head == now.refs.head:
        return []
    notes = [f"{_TURNED}{head} again, and was {now.refs.head or 'nothing'}"]
    if now.refs.head_id and not now.refs.head_target:
        # Nothing else may lead to where HEAD was.
        now.git.run("update-ref", f"{place}HEAD", now.refs.head_id, "", doing="keeping HEAD aside", at=now.origin)
        notes.append(f"{_KEPT_HEAD}{place}HEAD")
    target = head.removeprefix("ref: ")
    if target != head:
        now.git.run("symbolic-ref", HEAD, target, doing="setting HEAD", at=now.origin)
    else:
        now.git.run("update-ref", "--no-deref", HEAD, head, doing="setting HEAD", at=now.origin)
    return notes


def _put_large_objects(now: Frozen, stored: Stored, only: Selection) -> list[str]:
    parts = {part.name for part in stored.manifest.parts}
    if lfs.PART not in parts or not touches(only, lfs.PREFIX):
        return []
    with stored.open(lfs.PART) as stream:
        written = lfs.unpack(stream, now.origin, stored.manifest.name, replace=False)
    return [f"{written} objects of Git LFS that were missing are there again"] if written else []


def _refuse_foreign(now: Frozen) -> None:
    owner = now.origin.stat().st_uid
    if os.geteuid() == 0 and owner != 0:
        raise Refused(
            f"{now.git.where}: it belongs to user {owner}, who could not use what root writes into it; run this as "
            f"that user"
        )


def _check(now: Frozen, changing: Sequence[Move]) -> None:
    found = read_local(now.git, now.origin)[0] if now.address.local else read_remote(now.git, now.address.text)
    refs = found.by_name()
    wrong = []
    for move in changing:
        ref = refs.get(move.name)
        if (ref.object_id if ref else None) != (move.after.object_id if move.after else None):
            wrong.append(move.name)
    if wrong:
        raise SourceError(
            f"{now.git.where}: {', '.join(map(shown, wrong[:10]))} is not what was put back; somebody has changed it "
            f"since: look, and run this again"
        )
