"""Where a path of the site is prepared before it takes its place, and where what was there before is kept.

    <parent>/.<name>.lifeboat-new/<name>              what is to come; removed and made anew by each try
    <parent>/.<name>.lifeboat-before-<time>/<name>    what was there; never removed by Lifeboat

Both are beside the path, so on its file system, and only renames are needed. Their names begin with a dot, so that
programs which read every file of a folder pass over them; nobody but their owner may look inside.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from include.recovery.content.compare import shown
from include.recovery.content.port import Stored
from include.recovery.errors import InsufficientRights, Refused
from include.recovery.files.archive import members
from include.recovery.files.attributes import Lack
from include.recovery.files.capture import PART
from include.recovery.files.copies import links_needed, remove_copy
from include.recovery.files.extract import Extraction, Place
from include.recovery.files.refusals import named


@dataclass(frozen=True)
class Stage:
    """Beside one path of the policy.

    :param descriptor: of the folder ``new``.
    """

    root: Path
    descriptor: int

    @property
    def new(self) -> Path:
        """What is to come is in here."""
        return self.root.parent / f".{self.root.name}.lifeboat-new"

    def place(self, name: str) -> Place:
        """Where a path below the root is prepared."""
        return self.descriptor, [self.root.name, *name[len(str(self.root)) :].split("/")[1:]]


def clear(roots: Iterable[str]) -> None:
    """Remove what a try that was killed has left prepared."""
    for root in roots:
        remove_copy(Stage(Path(root), -1).new)


@contextmanager
def staged(roots: Sequence[str]) -> Iterator[dict[str, Stage]]:
    """Empty stages beside some paths; removed in the end, with what is left in them."""
    with ExitStack() as ends:
        stages = {}
        for root in roots:
            path = Path(root)
            stage = Stage(path, -1)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                clear([root])
                stage.new.mkdir(mode=0o700)
            except PermissionError as error:
                raise InsufficientRights(
                    f"nothing was changed, since this worker may not write in {path.parent}; put back as root"
                ) from error
            ends.callback(remove_copy, stage.new)
            descriptor = os.open(stage.new, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            ends.callback(os.close, descriptor)
            stages[root] = Stage(path, descriptor)
        yield stages


def fill(
    stages: dict[str, Stage], stored: Stored, wants: Callable[[str], bool], stop: Callable[[], bool]
) -> list[str]:
    """Extract what is wanted into its stages, complete with owners and all.

    :return: links whose first names are not wanted, so that they come as files of their own.
    :raises InsufficientRights: when something cannot be given its owner, mode or attributes; nothing of the site was
        touched then.
    """
    lacking: list[str] = []
    alone: list[str] = []

    def lacks(name: str, lack: Lack) -> None:
        given = {"owner": lack.owner, "mode": lack.mode, "attributes": lack.xattrs}
        lacking.append(f"{shown(name)} ({', '.join(what for what, lacks in given.items() if lacks is not None)})")

    with stored.open(PART) as stream:
        Extraction(
            place=lambda name: stages[root_of(name, stages)].place(name), wants=wants,
            linked_to=links_needed(stored, wants), by_name=True, lacks=lacks, scaffold=lambda _: None,
            alone=lambda name, _: alone.append(name), stop=stop,
        ).run(members(stream, stored.manifest.name))  # fmt: skip
    if lacking:
        raise InsufficientRights(
            f"nothing was changed, since this worker cannot give back everything: {named(lacking)}; "
            "put back as root, on a file system that knows these attributes"
        )
    os.sync()  # what takes a place must be on the disk before it does
    return alone


def root_of(name: str, roots: Iterable[str]) -> str:
    """The path of the policy that holds a name.

    :raises Refused: when none does.
    """
    for root in roots:
        if name == root or name.startswith(f"{root}/"):
            return root
    raise Refused(
        f"the backup holds {shown(name)}, and the policy's paths do not any more; add the path to the policy, or put "
        "back a selection without it"
    )


def new_aside(root: Path, now: datetime) -> Path:
    """An empty folder of its own for what was at a path."""
    for number in range(1, 1000):
        more = f"-{number}" if number > 1 else ""
        folder = root.parent / f".{root.name}.lifeboat-before-{now:%Y%m%dT%H%M%SZ}{more}"
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            return folder
    raise Refused(f"{root.parent} already has 999 folders of this second that keep {root.name} aside")


def asides(root: Path) -> list[Path]:
    """Where earlier tries have kept aside what was at a path; empty ones, of a try that was killed, are removed."""
    found = []
    for folder in sorted(root.parent.glob(f".{_literal(root.name)}.lifeboat-before-*")):
        with suppress(OSError):
            folder.rmdir()
            continue
        found.append(folder)
    return found


def _literal(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
