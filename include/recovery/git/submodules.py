"""Submodules: commits of other repositories, which no backup of this one holds. They are named."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from include.recovery.git.address import without_credentials
from include.recovery.git.refs import Refs
from include.recovery.git.tool import Git
from include.recovery.git.trees import listed

_FILE = ".gitmodules"


class Submodule(NamedTuple):
    """A commit of another repository.

    :param url: where that is, without credentials; empty when this one does not say.
    """

    path: str
    commit: str
    url: str

    @property
    def words(self) -> str:
        """For people."""
        return f"submodule {self.path} at {self.commit} of {self.url or 'an unnamed repository'}"


def submodules(git: Git, folder: Path, refs: Refs) -> list[Submodule]:
    """Those of HEAD, and of every branch and tag that has a ``.gitmodules``."""
    found: dict[Submodule, None] = {}
    head = {refs.head_id} if refs.head_id else set()
    for commit in sorted(head | set(_with_file(git, folder, {ref.object_id for ref in refs.refs}))):
        urls = _urls(git, folder, commit)
        for entry in listed(git, folder, commit):
            if entry.submodule:
                path = os.fsdecode(entry.path)
                found[Submodule(path, entry.object_id, urls.get(path, ""))] = None
    return sorted(found)


def _with_file(git: Git, folder: Path, tips: Iterable[str]) -> list[str]:
    """Those commits (and tags of commits) that have the file."""
    asked = sorted(tips)
    answers = git.answers(
        "cat-file", "--batch-check=%(objecttype)", questions="".join(f"{tip}:{_FILE}\n" for tip in asked).encode(),
        doing="looking for submodules", at=folder,
    )
    return [tip for tip, answer in zip(asked, answers, strict=True) if answer == b"blob"]


def _urls(git: Git, folder: Path, commit: str) -> dict[str, str]:
    said = git.ask(
        "config", "-z", "--blob", f"{commit}:{_FILE}", "--get-regexp", r"^submodule\..*\.(path|url)$", at=folder
    )
    names: dict[str, dict[str, str]] = {}
    for record in said.out.split(b"\0") if said.ok else []:
        key, _, value = os.fsdecode(record).partition("\n")
        name, _, what = key.removeprefix("submodule.").rpartition(".")
        names.setdefault(name, {})[what] = value
    return {each["path"]: without_credentials(each.get("url", "")) for each in names.values() if "path" in each}
