"""The copy of a distant repository that a worker keeps, so that each backup fetches no more than what is new.

Git cannot bundle what it does not have, so this is as large as the repository; nothing relies on it. Lost, damaged or
grown by many fetches, it is made again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from include.recovery.errors import SourceError, SourceUnavailable
from include.recovery.git.failures import meaning, shallow
from include.recovery.git.refs import ATTEMPTS, HEAD, Refs, parse_listing, read_remote
from include.recovery.git.tool import Git

DETACHED = "refs/lifeboat-head"
"""Where a HEAD that is no branch's is fetched to."""
MOST_PACKS = 50
"""Each fetch leaves a pack; a cache of more is thrown away, and with it what nothing leads to any more."""


@contextmanager
def cache_folder(name: str, url: str) -> Iterator[Path]:
    """The cache of a repository, for us alone while the block runs.

    :param name: of the source, for people who look around there.
    """
    root = Path(os.environ.get("LIFEBOAT_SCRATCH") or Path(tempfile.gettempdir()) / f"lifeboat-{os.getuid()}") / "git"
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = root / f"{name.replace('/', '-')}-{hashlib.sha256(url.encode()).hexdigest()[:12]}.git"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def fetch(git: Git, url: str, folder: Path, *, excluded: Iterable[str] = ()) -> Refs:
    """Bring a cache up to date, until it holds just the refs that one listing of the server shows.

    :param excluded: patterns of refs that need not come.
    :return: those refs, the excluded ones among them.
    :raises LifeboatError: when the server does not answer, refuses, or never stands still.
    """
    patterns = tuple(excluded)
    for _ in range(ATTEMPTS):
        shown = read_remote(git, url)
        wanted, _taken = shown.without(patterns)
        if not wanted.refs:
            return shown
        if not folder.exists():
            init(git, folder, wanted.object_format)
        detached = [f"+{HEAD}:{DETACHED}"] if shown.head and not shown.head_target else []
        # Shell patterns cannot be said to a fetch; what they take away is fetched, and not backed up.
        without = [f"^{each.rstrip('/')}/*" for each in patterns if not set(each) & set("*?[")]
        said = git.ask(
            "fetch", "--quiet", "--no-tags", "--prune", "--force", "--no-write-fetch-head", "--no-progress", "--", url,
            "+refs/*:refs/*", *without, *detached, at=folder,
        )  # fmt: skip
        if said.failure is not None:
            raise meaning(said.failure, git.where, "fetching it")
        if "shallow roots" in said.err:  # it has fetched the rest, and calls that a success
            raise SourceError(f"{git.where}: {shallow('the server has no more')}")
        if _holds(git, folder, wanted, patterns):
            return shown
    raise SourceUnavailable(f"{git.where}: its refs change faster than they can be fetched; try again when it is calm")


def init(git: Git, folder: Path, object_format: str) -> None:
    """Make an empty repository, without anything from templates."""
    git.run(
        "init", "--quiet", "--bare", "--template=", f"--object-format={object_format}", "--", folder,
        doing="making an empty repository",
    )


def forget(folder: Path) -> None:
    """Throw a cache away."""
    shutil.rmtree(folder, ignore_errors=True)


def overgrown(folder: Path) -> bool:
    """Whether it is time to."""
    return sum(1 for _ in folder.glob("objects/pack/*.pack")) > MOST_PACKS


def _holds(git: Git, folder: Path, wanted: Refs, patterns: tuple[str, ...]) -> bool:
    listing = git.run(
        "for-each-ref", "--format=%(objectname) %(symref) %(refname)", doing="listing its cache", at=folder
    )
    held = {ref.name: ref.object_id for ref in Refs(parse_listing(listing)).without(patterns)[0].refs}
    at = held.pop(DETACHED, None)
    detached = bool(wanted.head) and not wanted.head_target
    return held == {ref.name: ref.object_id for ref in wanted.refs} and (not detached or at == wanted.head_id)
