"""Patterns of a policy, and what the kernel mounts."""

from __future__ import annotations

import pytest

from include.recovery.files.paths import Patterns, Skipped, kernel_mounts
from include.recovery.policy.source_kinds.files import ExcludedPath

ROOTS = ["/srv/app", "/etc/nginx"]


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("cache/*", "/srv/app/cache/a", True),
        ("cache/*", "/srv/app/cache/a/b", True),
        ("cache/*", "/srv/app/cache", False),
        ("cache", "/srv/app/cache", True),
        ("*.sock", "/etc/nginx/run/x.sock", True),
        ("*.sock", "/etc/nginx/x.socket", False),
        ("*", "/srv/app", False),
        ("*", "/srv/apples", False),
        ("?\n*", "/srv/app/a\nb", True),
        ("[a-c]x", "/srv/app/bx", True),
    ],
)
def test_patterns_are_over_the_path_below_its_root(pattern: str, name: str, fits: bool) -> None:
    patterns = Patterns(ROOTS, [ExcludedPath(path=pattern, why="because")])
    assert (patterns.fitting(name) is not None) is fits


def test_what_is_left_out_is_told_once_for_each_pattern_also_when_nothing_fits() -> None:
    told: list[tuple[str, str]] = []
    skip = Skipped(
        ROOTS, [ExcludedPath(path="a*", why="one"), ExcludedPath(path="b", why="two")],
        lambda what, why: told.append((what, why)),
    )  # fmt: skip
    assert [skip(f"/srv/app/{name}") for name in ("a1", "a2", "c")] == [True, True, False]
    skip.tell()
    assert told == [("a* (2 left out)", "one"), ("b (0 left out)", "two")]


def test_file_systems_of_the_kernel_are_known_by_their_mounts() -> None:
    info = (
        b"21 1 0:19 / /srv/jail/proc rw,nosuid shared:4 - proc proc rw\n"
        b"22 1 8:1 / /data rw - ext4 /dev/sda1 rw\n"
        b"24 1 0:50 / /home/me rw - autofs systemd-1 rw\n"
        b"25 1 0:51 / /home/me rw - nfs4 server:/home rw\n"
        b"23 1 0:5 / /srv/jail/with\\040space rw - devtmpfs udev rw\n"
    )
    assert dict(kernel_mounts(info)) == {"/srv/jail/proc": "proc", "/srv/jail/with space": "devtmpfs"}
