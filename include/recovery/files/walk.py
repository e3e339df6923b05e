"""Trees in the order of their paths' bytes. By folder descriptors: no path is too long, and no link is ever followed.

``a``, ``a-b``, ``a/x`` is the order of the bytes, since ``-`` sorts before ``/``. So a folder and what is in it are two
steps among its siblings: the first sorts as its name, the second as its name with a slash.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

_KEPT_OPEN = 200
"""Descriptors of so many levels stay open; a deeper tree's are opened again by ``..`` on the way back."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Trouble = Callable[[str, OSError], None]
"""Told the path and the reason when something cannot be looked at; the walk goes on unless it raises."""


@dataclass(frozen=True, slots=True)
class Found:
    """A thing in a tree. ``folder`` and ``base`` lead to it until the walk goes on.

    :param name: its absolute path; bytes that are no UTF-8 come as surrogates.
    :param folder: descriptor of the folder that it is in.
    :param base: its name there.
    """

    name: str
    folder: int
    base: str
    stat: os.stat_result

    @property
    def path(self) -> str:
        """A path for calls that take no folder's descriptor; short, however deep the tree is."""
        return f"/proc/self/fd/{self.folder}/{self.base}"


@dataclass(frozen=True)
class Root:
    """Where a walk begins.

    :param name: what its path is called; empty for the top of a copy, which is no thing itself.
    :param folder: descriptor of the folder that it is in.
    :param base: its name there.
    """

    name: str
    folder: int
    base: str


@contextmanager
def roots_of(paths: Iterable[str]) -> Iterator[list[Root]]:
    """Roots for absolute paths. Links above a path are followed, as programs do; one at its end is not.

    A path that is missing holds nothing: whoever needs it compares what was asked for with what came.
    """
    with ExitStack() as open_folders:
        found = []
        for path in paths:
            above, _, base = path.rpartition("/")
            try:
                descriptor = os.open(above or "/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            except (FileNotFoundError, NotADirectoryError):
                continue
            open_folders.callback(os.close, descriptor)
            found.append(Root(path, descriptor, base))
        yield found


def walk(roots: Iterable[Root], trouble: Trouble, *, skip: Callable[[str], bool] = lambda _: False) -> Iterator[Found]:
    """Everything in some trees, in order.

    :param skip: whether to pass over a path and everything below it.
    """
    steps = sorted(
        ((os.fsencode(root.name) + slash, root, bool(slash)) for root in roots for slash in (b"", b"/")),
        key=lambda step: step[0],
    )
    for _, root, inside in steps:
        if not _is_there(root):
            continue
        if inside:
            yield from _inside(root, trouble, skip)
        elif root.name:
            yield from _look(root.name, root.folder, root.base, trouble)


def _is_there(root: Root) -> bool:
    try:
        os.stat(root.base, dir_fd=root.folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # what is wrong comes up when it is looked at
    return True


def _look(name: str, folder: int, base: str, trouble: Trouble) -> Iterator[Found]:
    try:
        stat = os.stat(base, dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        trouble(name, error)
    else:
        yield Found(name, folder, base, stat)


def _inside(root: Root, trouble: Trouble, skip: Callable[[str], bool]) -> Iterator[Found]:
    """What is below a root. A stack instead of recursion: trees may be thousands of levels deep."""
    levels: list[_Level] = []
    try:
        _enter(levels, root.name, root.folder, root.base, trouble, skip)
        while levels:
            level = levels[-1]
            step = next(level.steps, None)
            if step is None:
                levels.pop()
                if levels:
                    levels[-1].open_again(level)
                level.close()
                continue
            _, base, inside = step
            name = f"{level.name}/{base}"
            if inside:
                _enter(levels, name, level.descriptor, base, trouble, skip)
            else:
                yield from _look(name, level.descriptor, base, trouble)
    finally:
        for level in levels:
            level.close()


def _enter(
    levels: list[_Level], name: str, folder: int, base: str, trouble: Trouble, skip: Callable[[str], bool]
) -> None:
    try:
        level = _Level(name, os.open(base, _FOLDER, dir_fd=folder))
    except NotADirectoryError:
        return  # a root that is a file; anything else was seen as what it is a moment ago, and the last look finds it
    except OSError as error:
        if error.errno != errno.ELOOP:
            trouble(name, error)
        return
    try:
        level.list(skip)
    except OSError as error:
        level.close()
        trouble(name, error)
        return
    if len(levels) >= _KEPT_OPEN:
        levels[-1].close()
    levels.append(level)


@dataclass
class _Level:
    """A folder that the walk is in."""

    name: str
    descriptor: int
    steps: Iterator[tuple[bytes, str, bool]] = field(default_factory=lambda: iter(()))

    def __post_init__(self) -> None:
        stat = os.fstat(self.descriptor)
        self._identity = (stat.st_dev, stat.st_ino)

    def list(self, skip: Callable[[str], bool]) -> None:
        """Find the steps to take."""
        steps: list[tuple[bytes, str, bool]] = []
        with os.scandir(self.descriptor) as entries:
            for entry in entries:
                if skip(f"{self.name}/{entry.name}"):
                    continue
                key = os.fsencode(entry.name)
                steps.append((key, entry.name, False))
                if entry.is_dir(follow_symlinks=False):
                    steps.append((key + b"/", entry.name, True))
        steps.sort(reverse=True)
        self.steps = _drained(steps)

    def open_again(self, child: _Level) -> None:
        """Get the descriptor back from a child's, when it was given up."""
        if self.descriptor >= 0:
            return
        descriptor = os.open("..", _FOLDER, dir_fd=child.descriptor)
        stat = os.fstat(descriptor)
        if (stat.st_dev, stat.st_ino) != self._identity:
            os.close(descriptor)
            raise OSError(errno.ESTALE, "the folder was moved while it was read", child.name)
        self.descriptor = descriptor

    def close(self) -> None:
        """Give the descriptor up."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def _drained(steps: list[tuple[bytes, str, bool]]) -> Iterator[tuple[bytes, str, bool]]:
    """Steps from the end of a list that shrinks: what was passed takes no memory."""
    while steps:
        yield steps.pop()
