"""Objects of Git LFS: kept where they are here, named where they are not. Pointer and folder are as its spec has them;
git-lfs itself is not needed for either."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from include.recovery.errors import SourceError
from tests.fixtures.content import ContentPlace
from tests.integration.git.conftest import Repo

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
HERE, ELSEWHERE = b"film " * 50_000, b"film that nobody has fetched"


def add(repo: Repo, name: str, content: bytes, *, fetched: bool) -> Path:
    """A pointer in a commit and, where it was fetched, its object."""
    oid = hashlib.sha256(content).hexdigest()
    path = repo.own / "lfs" / "objects" / oid[:2] / oid[2:4] / oid
    if fetched:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n"
    repo.commit(f"add {name}", {name: pointer, ".gitattributes": "*.film filter=lfs diff=lfs merge=lfs -text\n"})
    return path


@pytest.fixture
def films(small: Repo) -> Repo:
    add(small, "here.film", HERE, fetched=True)
    add(small, "elsewhere.film", ELSEWHERE, fetched=False)
    small.git("rm", "--quiet", "here.film")
    small.commit("only history points to it now")
    return small


def test_what_is_here_is_kept_and_what_is_not_is_named(
    films: Repo, content_place: Callable[..., ContentPlace]
) -> None:
    place = content_place({"kind": "git", "repository": str(films.path)})
    backup, folder = place.prove()
    oid, other = (hashlib.sha256(each).hexdigest() for each in (HERE, ELSEWHERE))
    kept = folder / "repository.git" / "lfs" / "objects" / oid[:2] / oid[2:4] / oid
    assert kept.read_bytes() == HERE
    named = [entry.what for entry in backup.manifest.left_out if "LFS" in entry.what]
    assert named == [f"Git LFS object {other}, {len(ELSEWHERE)} bytes"]

    kept.write_bytes(HERE[:-1] + b"!")
    assert [(each.object, each.kind) for each in place.compare(backup, folder).differences] == [
        (f"lfs/{oid}", "content")
    ]

    path = films.own / "lfs" / "objects" / oid[:2] / oid[2:4] / oid
    path.unlink()
    done = place.verbs.put_back(place.workspace, backup, leave="depot/main")
    assert path.read_bytes() == HERE
    assert any("1 objects of Git LFS" in note for note in done.notes)


def test_a_damaged_object_is_named_before_anything_counts(
    films: Repo, content_place: Callable[..., ContentPlace]
) -> None:
    oid = hashlib.sha256(HERE).hexdigest()
    (films.own / "lfs" / "objects" / oid[:2] / oid[2:4] / oid).write_bytes(HERE[:-1] + b"!")
    place = content_place({"kind": "git", "repository": str(films.path)})
    with pytest.raises(SourceError, match=f"object {oid} of Git LFS is damaged"):
        place.back_up()
    assert place.backups() == []
