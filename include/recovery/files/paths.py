"""Which files a policy leaves out, which may change, and which are the kernel's own."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from fnmatch import translate
from pathlib import Path

from include.recovery.policy.source_kinds.files import ChangingPath, ExcludedPath

_KERNEL = {
    "proc", "sysfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "debugfs", "tracefs", "securityfs", "bpf", "pstore",
    "mqueue", "configfs", "fusectl", "binfmt_misc", "efivarfs", "nsfs", "autofs", "rpc_pipefs", "hugetlbfs",
    "selinuxfs",
}  # fmt: skip
_ESCAPED = re.compile(r"\\([0-7]{3})")


class Patterns:
    """Which pattern of a policy a path fits: shell patterns over the path below its root."""

    def __init__(self, roots: Sequence[str], patterns: Sequence[ExcludedPath | ChangingPath]) -> None:
        self._roots = sorted(roots, key=len, reverse=True)
        self._patterns = [(re.compile(translate(each.path)), each) for each in patterns]
        self.counted: Counter[str] = Counter()

    def fitting(self, name: str) -> ExcludedPath | ChangingPath | None:
        """The first that fits, if any."""
        if not self._patterns:
            return None
        below = next((name[len(root) + 1 :] for root in self._roots if name.startswith(f"{root}/")), "")
        if not below:
            return None
        for pattern, each in self._patterns:
            if pattern.match(below):
                self.counted[each.path] += 1
                return each
        return None


class Skipped:
    """What no backup holds: excluded by the policy, or a file system that the kernel makes up."""

    def __init__(
        self, roots: Sequence[str], exclude: Sequence[ExcludedPath], leave_out: Callable[[str, str], None] | None = None
    ) -> None:
        self._patterns, self._exclude = Patterns(roots, exclude), exclude
        self._mounted = dict(kernel_mounts(Path("/proc/self/mountinfo").read_bytes()))
        self._leave_out = leave_out or (lambda _what, _why: None)

    def __call__(self, name: str) -> bool:
        if name in self._mounted:
            self._leave_out(name, f"a file system of the kernel ({self._mounted[name]}), which holds no files of yours")
            return True
        return self._patterns.fitting(name) is not None

    def tell(self) -> None:
        """Say what was excluded, each pattern once."""
        for each in self._exclude:
            self._leave_out(f"{each.path} ({self._patterns.counted[each.path]} left out)", each.why)


def kernel_mounts(mountinfo: bytes) -> Iterator[tuple[str, str]]:
    """Where file systems of the kernel are mounted, and what they are.

    :param mountinfo: of ``/proc/self/mountinfo``.
    """
    on_top: dict[str, str] = {}
    for line in os.fsdecode(mountinfo).split("\n"):
        before, _, behind = line.partition(" - ")
        if behind:
            place = _ESCAPED.sub(lambda match: chr(int(match[1], 8)), before.split(" ")[4])
            on_top[place] = behind.split(" ", 1)[0]  # a later line lies over an earlier one, as a disk over an autofs
    yield from ((place, kind) for place, kind in on_top.items() if kind in _KERNEL)
