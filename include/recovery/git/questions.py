"""What a restored copy has to answer: that git finds nothing wrong in it, and that any commit can be had from it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from time import monotonic

from include.recovery.errors import LifeboatError
from include.recovery.evidence.model import Check, Outcome
from include.recovery.git.frozen import fsck, make_frozen
from include.recovery.git.refs import Ref, Refs
from include.recovery.git.tool import Git


def ask(git: Git, repository: Path, *, source: str, known_flaws: tuple[str, ...]) -> list[Check]:
    """Put both questions.

    :param source: its name, for the report.
    """
    began = monotonic()
    wrong = fsck(git, repository, known_flaws)
    whole = Check(
        name="git fsck --full --strict finds nothing wrong", outcome=Outcome.FAILED if wrong else Outcome.PASSED,
        source=source, expected="nothing", found=wrong or "nothing", output=wrong,
        seconds=round(monotonic() - began, 3),
    )  # fmt: skip
    began = monotonic()
    lines, failed = [], False
    try:
        for what, commit in commits_to_try(git, repository):
            had, expected = checked_out_tree(git, repository, commit), tree_of(git, repository, commit)
            failed |= had != expected
            lines.append(f"{what} commit {commit}: tree {had}, expected {expected}")
    except LifeboatError as error:
        failed = True
        lines.append(str(error))
    any_commit = Check(
        name="the oldest, the middle and the newest commit can be checked out",
        outcome=Outcome.FAILED if failed else Outcome.PASSED, source=source,
        expected="each with the tree that it names", found=lines[-1] if failed and lines else f"{len(lines)} commits",
        output="\n".join(lines), seconds=round(monotonic() - began, 3),
    )  # fmt: skip
    return [whole, any_commit]


def commits_to_try(git: Git, repository: Path) -> list[tuple[str, str]]:
    """The oldest commit, the one in the middle and the newest, of all refs; fewer where there are fewer."""
    doing = "looking for commits"
    count = int(git.run("rev-list", "--count", "--all", doing=doing, at=repository))
    found: dict[str, str] = {}
    for what, skip in (("newest", 0), ("middle", count // 2), ("oldest", count - 1)):
        if count:
            words = ("rev-list", "--all", "--date-order", f"--skip={skip}", "--max-count=1")
            found[git.run(*words, doing=doing, at=repository).decode().strip()] = what
    return [(what, commit) for commit, what in found.items()]


def tree_of(git: Git, repository: Path, commit: str) -> str:
    """The tree that a commit names."""
    return git.run("rev-parse", f"{commit}^{{tree}}", doing="looking for a tree", at=repository).decode().strip()


def checked_out_tree(git: Git, repository: Path, commit: str) -> str:
    """Write a commit's files to a folder, read them back, and name the tree that they make.

    Done in a repository beside the copy that borrows its objects, and is gone afterwards.
    """
    doing = f"checking out {commit}"
    with tempfile.TemporaryDirectory(prefix="checkout-", dir=repository.parent) as name:
        work, beside = Path(name) / "files", Path(name) / "beside.git"
        work.mkdir()
        # Its attributes say that files are written as they are stored, so what is read back is what was stored.
        make_frozen(git, beside, Refs((Ref("refs/heads/tried", commit),)), repository / "objects")
        at_work = Git({**git.env, "GIT_WORK_TREE": str(work)}, git.crew, git.where)
        at_work.run("read-tree", commit, doing=doing, at=beside)
        at_work.run("checkout-index", "--all", doing=doing, at=beside)
        # An index that knows of no file on disk: every one is read anew.
        (beside / "index").unlink()
        at_work.run("read-tree", commit, doing=doing, at=beside)
        at_work.run("-C", work, "add", "--all", "--force", ".", doing=doing, at=beside)
        return at_work.run("write-tree", doing=doing, at=beside).decode().strip()
