"""An incident in a repository on this machine: history forced away, branches gone; all of it comes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from include.recovery.content.port import PutBack, Selection
from include.recovery.errors import Refused
from tests.fixtures.content import ContentPlace
from tests.integration.git.conftest import Repo, publish, run_git

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def ours(refs: dict[str, str]) -> dict[str, str]:
    """Without what was kept aside."""
    return {name: object_id for name, object_id in refs.items() if not name.startswith("refs/lifeboat/")}


def put_back(place: ContentPlace, backup: object, only: tuple[str, ...] = ()) -> PutBack:
    return place.verbs.put_back(  # type: ignore[arg-type]  # a CompleteBackup
        place.workspace, backup, leave="depot/main", only=Selection(only)  # type: ignore[arg-type]
    )


@pytest.mark.demand("K3")
def test_what_was_forced_away_comes_back_and_what_took_its_place_stays_aside(
    small: Repo, content_place: Callable[..., ContentPlace]
) -> None:
    place = content_place({"kind": "git", "repository": str(small.path)})
    backup, before = place.back_up(), small.refs()

    small.git("checkout", "--quiet", "-b", "other")
    small.git("branch", "--force", "main", "HEAD~2")
    small.git("tag", "--delete", "v1")
    small.git("branch", "-D", "feature/x")
    small.git("update-ref", "refs/heads/feature", "HEAD")  # in the way of feature/x
    lost = small.commit("work of the afternoon")
    hook = small.own / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {small.path}/hook-ran\n")
    hook.chmod(0o755)
    damaged = small.refs()

    preview = {change.name: change.how for change in place.verbs.preview(place.workspace, backup)}
    assert {name: preview[name] for name in preview if name.startswith(("refs/", "HEAD"))} == {
        "HEAD": "content", "refs/heads/main": "content", "refs/tags/v1": "missing", "refs/heads/feature/x": "missing",
        "refs/heads/feature": "unexpected", "refs/heads/other": "unexpected",
    }  # fmt: skip
    assert small.refs() == damaged  # a preview touches nothing

    done = put_back(place, backup)
    assert done.changed == 6
    assert ours(small.refs()) == before
    assert small.git("symbolic-ref", "HEAD") == "refs/heads/main"
    assert not (small.path / "hook-ran").exists()
    assert small.refs()[f"{done.aside}heads/other"] == lost
    assert small.refs()[f"{done.aside}heads/main"] == damaged["refs/heads/main"]
    assert any("the working tree" in note for note in done.notes)
    small.git("fsck", "--full", "--strict")
    assert list(place.verbs.preview(place.workspace, backup)) == []

    again = put_back(place, backup)
    assert (again.changed, again.aside) == (0, "nothing")
    # What was kept aside is no part of the next backup, and the backup says so.
    named = {entry.what for entry in place.back_up().manifest.left_out}
    assert "3 refs that match refs/lifeboat/" in named


def test_one_branch_of_a_bare_repository(
    small: Repo, tmp_path: Path, content_place: Callable[..., ContentPlace]
) -> None:
    (tmp_path / "served").mkdir()
    bare = publish(small, tmp_path / "served")
    place = content_place({"kind": "git", "repository": str(bare)})
    backup = place.back_up()
    git = f"--git-dir={bare}"
    run_git(git, "update-ref", "-d", "refs/heads/feature/x")
    run_git(git, "update-ref", "refs/heads/main", "refs/tags/v1^{commit}")
    done = put_back(place, backup, ("refs/heads/feature/",))
    assert (done.changed, done.aside) == (1, "nothing")
    assert run_git(git, "rev-parse", "refs/heads/feature/x") == small.refs()["refs/heads/feature/x"]
    assert run_git(git, "rev-parse", "refs/heads/main") != small.refs()["refs/heads/main"]


def test_leave_is_for_one_source_and_files_are_no_refs(
    small: Repo, content_place: Callable[..., ContentPlace]
) -> None:
    place = content_place({"kind": "git", "repository": str(small.path)})
    backup, before = place.back_up(), small.refs()
    with pytest.raises(Refused, match="needs leave for just that"):
        place.verbs.put_back(place.workspace, backup, leave="depot/other")
    with pytest.raises(Refused, match="nothing that was asked for is a ref"):
        put_back(place, backup, ("archive/",))
    assert small.refs() == before
