"""A repository whose refs stand still while it is backed up, however its own move on meanwhile.

    the repository ──refs of one moment──> a bare repository of our own, with nothing in it but those refs
    its objects    ──borrowed, not copied──┘

Its own configuration, attributes, hooks, grafts and replacements count for nothing there.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from include.recovery.errors import InsufficientRights, SourceError, ToolFailed
from include.recovery.git import cache
from include.recovery.git.address import Address, parse_address
from include.recovery.git.environment import access
from include.recovery.git.failures import last_words, shallow
from include.recovery.git.refs import ASIDE, Refs, read_local, read_remote
from include.recovery.git.tool import Git
from include.recovery.git.trees import attributes
from include.recovery.processes import Crew

if TYPE_CHECKING:
    from include.recovery.content.port import Site
    from include.recovery.policy.source_kinds.git import GitSource

_PROMISED = r"^(extensions\.partialclone|remote\..*\.promisor)$"


@dataclass(frozen=True)
class Frozen:
    """What stands still.

    :param folder: the bare repository of our own.
    :param origin: the folder of the repository itself where it is on this machine; its cache where it is not.
    :param left_out: what of it is no part of a backup, and why.
    """

    git: Git
    address: Address
    folder: Path
    origin: Path
    refs: Refs
    at: datetime
    left_out: tuple[tuple[str, str], ...]


@contextmanager
def reached(site: Site[GitSource]) -> Iterator[tuple[Git, Address]]:
    """Git with what it needs to reach a source's repository.

    :raises SourceError: when git is not installed, or the connection does not fit.
    """
    address = parse_address(site.source.repository)
    if shutil.which("git") is None:
        raise SourceError(f"{site.name}: git is not on PATH of this worker; install the package git")
    connection = site.connection(site.source.connection) if site.source.connection else None
    with access(address, connection) as env, Crew(site.stop) as crew:
        yield Git(env, crew, f"{site.name} ({address.text})"), address


def look(site: Site[GitSource]) -> Refs:
    """The refs of a source's repository that a backup would hold; nothing is fetched, and no object is looked at.

    :raises SourceError: when it is empty, shallow or partial.
    :raises SourceUnavailable, InsufficientRights: when it cannot be reached or read.
    """
    with reached(site) as (git, address):
        refs = _in_folder(site, git, address).refs if address.local else read_remote(git, address.text)
        return _kept(site, git, refs, empty=False)[0]


@contextmanager
def frozen(site: Site[GitSource], *, check: bool = False, empty: bool = False) -> Iterator[Frozen]:
    """Hold the refs of a source's repository.

    :param check: make sure that every object is whole and none is missing.
    :param empty: whether it may have no refs at all.
    :raises SourceError: when it is empty, shallow, partial or damaged.
    :raises SourceUnavailable, InsufficientRights: when it cannot be reached or read.
    """
    with reached(site) as (git, address), ExitStack() as stack:
        private = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lifeboat-git-")))
        if address.local:
            found = _in_folder(site, git, address)
            yield _hold(site, git, address, found, private / "frozen.git", check=check, empty=empty)
            return
        kept = stack.enter_context(cache.cache_folder(site.name, address.text))
        yield _of_server(site, git, address, kept, private, check=check, empty=empty)


def _of_server(
    site: Site[GitSource], git: Git, address: Address, kept: Path, private: Path, *, check: bool, empty: bool
) -> Frozen:
    if cache.overgrown(kept):
        cache.forget(kept)
    if kept.exists():
        try:
            found = _on_server(site, git, address, kept)
            return _hold(site, git, address, found, private / "frozen.git", check=check, empty=empty)
        except InsufficientRights:
            raise
        except (SourceError, ToolFailed):
            cache.forget(kept)  # it may be the cache that is damaged, and not the repository
    found = _on_server(site, git, address, kept)
    return _hold(site, git, address, found, private / "again.git", check=check, empty=empty)


def own_folder(git: Git, path: str) -> Path:
    """The folder that a repository on this machine keeps its refs in, with or without a working tree.

    :raises SourceError: when there is none at just this path.
    """
    if not Path(path).is_dir():
        raise SourceError(f"{git.where}: there is no such folder on this worker; correct the policy, or mount it")
    found = git.run(
        "-C", path, "rev-parse", "--path-format=absolute", "--git-common-dir", doing="looking for the repository"
    )
    return Path(found.decode().rstrip("\n"))


def fsck(git: Git, folder: Path, known_flaws: tuple[str, ...]) -> str:
    """Ask ``git fsck --full --strict``; the answer is empty when all is well.

    :param known_flaws: names of problems (``zeroPaddedFilemode``) that old history is known to have.
    """
    allowed = [word for flaw in known_flaws for word in ("-c", f"fsck.{flaw}=ignore")]
    said = git.ask(
        f"--git-dir={folder}", *allowed, "fsck", "--full", "--strict", "--no-dangling", "--no-progress"
    )
    return "" if said.ok else last_words(said.err + "\n" + said.out.decode("utf-8", "replace"))


@dataclass
class _Found:
    """What a repository shows at a moment.

    :param objects: the folder that its objects are in.
    """

    origin: Path
    objects: Path
    refs: Refs
    at: datetime
    left_out: list[tuple[str, str]]


def _in_folder(site: Site[GitSource], git: Git, address: Address) -> _Found:
    origin = own_folder(git, address.text)
    _refuse_partial(git, origin)
    refs, dangling = read_local(git, origin)
    at = site.now()
    objects = git.run("rev-parse", "--path-format=absolute", "--git-path", "objects", doing="looking", at=origin)
    left_out = [(f"{name}, a symbolic ref", "it leads to no ref that exists") for name in dangling]
    left_out.append(("its configuration, hooks, reflogs", "they are no part of a bundle; the kind 'files' keeps them"))
    if origin.name == ".git":
        left_out.append((
            f"what is not committed in {address.text}", "a bundle holds commits; the kind 'files' keeps a working tree"
        ))  # fmt: skip
    return _Found(origin, Path(objects.decode().rstrip("\n")), refs, at, left_out)


def _on_server(site: Site[GitSource], git: Git, address: Address, kept: Path) -> _Found:
    refs = cache.fetch(git, address.text, kept, excluded=[ASIDE, *(each.refs for each in site.source.exclude)])
    at = site.now()
    left_out = [("its configuration, hooks, reflogs", "no server shows them")]
    if not refs.head:
        left_out.append(("HEAD", "it names a branch without commits, and the server does not say which"))
    return _Found(kept, kept / "objects", refs, at, left_out)


def _hold(
    site: Site[GitSource], git: Git, address: Address, found: _Found, folder: Path, *, check: bool, empty: bool
) -> Frozen:
    kept, left_out = _kept(site, git, found.refs, empty=empty)
    make_frozen(git, folder, kept, found.objects, site.source.archive_without)
    wrong = fsck(git, folder, tuple(each.problem for each in site.source.known_flaws)) if check else ""
    if wrong:
        raise SourceError(
            f"{git.where}: git fsck finds it damaged: {wrong}; restore it from the newest backup, or name a flaw of "
            f"old history in 'known_flaws'"
        )
    return Frozen(git, address, folder, found.origin, kept, found.at, (*found.left_out, *left_out))


def _kept(site: Site[GitSource], git: Git, refs: Refs, *, empty: bool) -> tuple[Refs, list[tuple[str, str]]]:
    """The refs that a backup holds, and what is left out and why."""
    reasons = {ASIDE: "kept aside by an earlier put back"} | {each.refs: each.why for each in site.source.exclude}
    kept, taken = refs.without(reasons)
    if not kept.refs and not empty:
        more = f" but {len(refs.refs)} that are left out" if refs.refs else ""
        raise SourceError(
            f"{git.where}: it has no refs{more}, so there is nothing to back up; push to it first, or correct the "
            f"policy"
        )
    if kept.head_id and kept.head_target and kept.head_target not in kept.by_name():
        raise SourceError(
            f"{git.where}: the policy leaves out {kept.head_target}, which HEAD names; take it out of 'exclude'"
        )
    return kept, [(f"{count} refs that match {each}", reasons[each]) for each, count in taken.items() if count]


def make_frozen(git: Git, folder: Path, refs: Refs, objects: Path, without: tuple[str, ...] = ()) -> None:
    """Make a bare repository with these refs, whose objects are in another one's folder."""
    cache.init(git, folder, refs.object_format)
    (folder / "objects" / "info").mkdir(parents=True, exist_ok=True)
    (folder / "objects" / "info" / "alternates").write_text(f"{objects}\n", encoding="utf-8")
    (folder / "info").mkdir(exist_ok=True)
    (folder / "info" / "attributes").write_text(attributes(without), encoding="utf-8")
    with (folder / "packed-refs").open("wb") as packed:
        packed.write(b"# pack-refs with: sorted \n")
        for ref in refs.refs:
            packed.write(ref.object_id.encode() + b" " + ref.order + b"\n")
    head = f"ref: {refs.head_target}" if refs.head_target else refs.head_id
    if head:
        (folder / "HEAD").write_text(f"{head}\n", encoding="utf-8", errors="surrogateescape")


def _refuse_partial(git: Git, origin: Path) -> None:
    if (origin / "shallow").exists():
        raise SourceError(f"{git.where}: {shallow('its folder holds a file named shallow')}")
    promised = git.ask("config", "--get-regexp", _PROMISED, at=origin).ok
    if promised or any(origin.glob("objects/pack/*.promisor")):
        raise SourceError(
            f"{git.where}: it is a partial clone, whose objects are partly on another server; back up the repository "
            f"that it was cloned from"
        )
