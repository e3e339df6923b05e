"""Runs a command as an unprivileged user in a copy of the tree, and brings home what it wrote.

The lab's commands (``python -m include.lab ...``) run in ``$LIFEBOAT_HOME/project``, which stays: Airflow reads its
DAGs there. Everything else, the tests above all, runs in a throw-away copy. So the tree may lie where that user cannot
look, and nothing that runs can change it, except for the reports listed in ``BROUGHT_HOME``.

Started by ``setup.sh`` as a file, with nothing but the standard library.
"""

from __future__ import annotations

import ctypes
import filecmp
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

NOT_COPIED = shutil.ignore_patterns(".git", "__pycache__", ".*_cache", ".venv", ".hypothesis", "*.pyc", "node_modules")
BROUGHT_HOME = ("docs/demands.md", "tests/demands.json", "tests/benchmarks/results.json", ".test-results")
ASIDE = "aside"
"""Below root's own ``LIFEBOAT_HOME``, where policies have kept aside what putting back replaces on a server."""
_PR_SET_PDEATHSIG = 1


def main(argv: Sequence[str], tree: Path, home: Path, user: str) -> int:
    """Run ``argv`` and return its exit code.

    :param tree: the project as it was checked out.
    :param home: ``LIFEBOAT_HOME``.
    :param user: who runs it when we are root; otherwise it is us.
    """
    if "include.lab" in argv:
        project = home / "project"
        mirror(tree, project)
        for name in ("lab", ASIDE):
            _directory(home / name, user)
        return run(argv, project, home, user)
    project = Path(tempfile.mkdtemp(prefix="lifeboat-tree-"))
    try:
        copy(tree, project)
        _give(project, user)
        code = run(argv, project, home, user)
        bring_home(project, tree)
    finally:
        shutil.rmtree(project, ignore_errors=True)
    return code


def copy(tree: Path, project: Path) -> None:
    """The tree without what only belongs to its checkout."""
    shutil.copytree(tree, project, ignore=NOT_COPIED, symlinks=True, dirs_exist_ok=True)
    for path in [project, *project.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o644))


def mirror(tree: Path, project: Path) -> None:
    """Make ``project`` equal to the tree; unchanged files keep their times: Airflow need not parse them again."""
    with tempfile.TemporaryDirectory(dir=project.parent, prefix="project-") as made:
        fresh = Path(made) / "tree"
        copy(tree, fresh)
        wanted = {path.relative_to(fresh) for path in fresh.rglob("*")}
        for path in sorted(project.rglob("*"), reverse=True):
            if path.relative_to(project) not in wanted and "__pycache__" not in path.parts:
                path.rmdir() if path.is_dir() and not any(path.iterdir()) else path.unlink(missing_ok=True)
        for path in sorted(wanted):
            source, target = fresh / path, project / path
            if source.is_dir():
                target.mkdir(parents=True, exist_ok=True, mode=0o755)
            elif not target.exists() or not filecmp.cmp(source, target, shallow=False):
                source.replace(target)


def bring_home(project: Path, tree: Path) -> None:
    """Copy the reports that the command wrote back into the tree."""
    for name in BROUGHT_HOME:
        written, kept = project / name, tree / name
        if written.is_dir():
            shutil.copytree(written, kept, dirs_exist_ok=True)
        elif written.exists() and not (kept.exists() and filecmp.cmp(written, kept, shallow=False)):
            shutil.copyfile(written, kept)


def run(argv: Sequence[str], project: Path, home: Path, user: str) -> int:
    """Run the command in the project; signals that reach us are its too, and it does not outlive us."""
    scratch = _directory(home / "user", user)
    keep = {
        name: os.environ[name] for name in ("PATH", "TERM", "COLUMNS", "NO_COLOR", "CI", "TZ") if name in os.environ
    }
    passed = {name: value for name, value in os.environ.items() if name.startswith(("LIFEBOAT_", "PYTEST_", "PYTHON"))}
    locale = {"LC_ALL": "C.UTF-8"}
    environment = {**keep, **passed, **locale, "HOME": str(scratch), "PYTHONPATH": f"{project}:{project / 'plugins'}"}
    identity: dict[str, object] = {}
    if os.getuid() == 0:
        account = pwd.getpwnam(user)
        groups = os.getgrouplist(user, account.pw_gid)
        identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": groups}
    ends = ctypes.CDLL(None, use_errno=True)

    def dies_with_us() -> None:
        ends.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    child = subprocess.Popen(
        list(argv),
        cwd=project,
        env=environment,
        preexec_fn=dies_with_us,  # noqa: PLW1509 - this program has no threads
        **identity,  # type: ignore[call-overload]
    )

    def pass_on(number: int, _frame: FrameType | None) -> None:
        child.send_signal(number)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to the child too
    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGHUP, pass_on)
    code: int = child.wait()
    return 128 - code if code < 0 else code


def _directory(path: Path, user: str) -> Path:
    """A directory of the user's."""
    if not path.exists():
        path.mkdir(parents=True)
        _give(path, user)
    return path


def _give(directory: Path, user: str) -> None:
    """Make the directory and all in it the user's, when we are root."""
    if os.getuid() == 0:
        account = pwd.getpwnam(user)
        for path in [directory, *directory.rglob("*")]:
            os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)


if __name__ == "__main__":
    place, who = Path(os.environ["LIFEBOAT_HOME"]), os.environ["LIFEBOAT_USER"]
    sys.exit(main(sys.argv[1:], Path(__file__).resolve().parents[2], place, who))
