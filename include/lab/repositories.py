"""The lab's git repositories: bare, with some history, branches and tags, made by git itself."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from include.lab.ceph import run_tool

_BEGAN = 1_760_000_000
"""Time of the first commit: every lab has the same commits."""


@dataclass(frozen=True)
class _History:
    """What a repository is made of.

    :param commits: subject and files of each commit of ``main``.
    :param tags: name to the number of its commit.
    :param branch: a branch that began at the first commit.
    """

    commits: tuple[tuple[str, Mapping[str, str]], ...]
    tags: Mapping[str, int] = field(default_factory=dict)
    branch: str = "feature/dark-mode"


_WEB = {"dist/app.js": "/* built */\n", "node_modules/left-pad/index.js": "module.exports = (s) => s;\n"}
_TERRAFORM = 'resource "terraform_data" "{}" {{\n  input = "{}"\n}}\n'
HISTORIES: Mapping[str, _History] = {
    "ksrce-lab": _History(
        (
            ("Bookings", {"app/bookings.py": "def book(device, user, during):\n    ...\n", "README.md": "# KSRCE\n"}),
            ("Infrastructure as code", {"infrastructure/main.tf": _TERRAFORM.format("server", "db.t4g.medium")}),
            ("Experiments with uploads", {"app/experiments.py": "def upload(experiment, file):\n    ...\n"}),
            ("A larger database", {"infrastructure/main.tf": _TERRAFORM.format("server", "db.t4g.large")}),
        ),
        {"v1.0": 1, "v1.1": 3},
        "feature/calibration",
    ),
    "labdojo": _History(
        (
            ("Courses and lessons", {"server/courses.py": "COURSES = []\n", "package.json": '{"name": "labdojo"}\n'}),
            ("The web application", {"web/index.html": "<!doctype html><title>LabDojo</title>\n", **_WEB}),
            ("Belts", {"server/belts.py": "BELTS = ('white', 'yellow', 'green', 'brown', 'black')\n"}),
            ("Achievements", {"server/achievements.py": "BADGES = ('first steps', 'night owl')\n"}),
        ),
        {"v2024.1": 2, "v2024.2": 4},
    ),
    "aiaas": _History(
        (
            ("Serving models", {"serving/app.py": "def infer(model, tokens):\n    ...\n"}),
            ("Kubernetes manifests", {"deploy/serving.yaml": "kind: Deployment\nmetadata: {name: serving}\n"}),
            ("Terraform", {"terraform/main.tf": _TERRAFORM.format("cluster", "three zones")}),
        ),
        {"v1.4.0": 2, "v1.5.0": 3},
        "release/1.4",
    ),
    "rylie-configuration": _History(
        (
            ("Settings", {"config.yaml": "voice: alto\nmemory: true\n"}),
            ("Rate limits", {"config.yaml": "voice: alto\nmemory: true\nrate_limit: 60\n"}),
            ("Names of the variables", {"rylie.env.example": "DATABASE_URL=\nSESSION_SECRET=\n"}),
        ),
        {},
        "staging",
    ),
}  # fmt: skip


def make_repositories(folder: Path) -> None:
    """Make those that are not there yet; one that an interrupted start has left half is made anew."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, history in HISTORIES.items():
        bare = folder / f"{name}.git"
        if not bare.exists():
            with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as made:
                _make(Path(made), history).rename(bare)


def _make(folder: Path, history: _History) -> Path:
    tree, bare = folder / "tree", folder / "bare.git"
    tree.mkdir()
    _git(tree, "init", "--quiet", "--initial-branch=main")
    commits = []
    for number, (subject, files) in enumerate(history.commits):
        for name, content in files.items():
            path = tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        _git(tree, "add", "--all", "--force", ".")
        _git(tree, "commit", "--quiet", "--message", subject, at=_BEGAN + number * 86_400)
        commits.append(_git(tree, "rev-parse", "HEAD").strip())
        for tag in (tag for tag, place in history.tags.items() if place == number + 1):
            _git(tree, "tag", "--annotate", tag, "--message", f"{tag}: {subject}", at=_BEGAN + number * 86_400)
    _git(tree, "branch", history.branch, commits[0])
    _git(folder, "clone", "--quiet", "--bare", str(tree), str(bare))
    _git(bare, "remote", "remove", "origin")
    _git(bare, "config", "http.receivepack", "true")
    shutil.rmtree(tree)
    return bare


def _git(where: Path, *words: str, at: int = _BEGAN) -> str:
    who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in (
        ("NAME", "Grace"), ("EMAIL", "grace@example.org"), ("DATE", f"{at} +0000"),
    )}  # fmt: skip
    environment = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C.UTF-8", **who}
    return run_tool(["git", *words], env={"PATH": os.environ["PATH"], **environment}, cwd=where)
