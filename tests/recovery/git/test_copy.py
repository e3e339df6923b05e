"""What of an inventory becomes refs, and which parts a selection needs."""

from __future__ import annotations

from include.recovery.content.model import Item
from include.recovery.content.port import EVERYTHING, Selection
from include.recovery.git.copy import refs_of, touches
from include.recovery.git.refs import Ref

ONE = "1" * 40
ITEMS = [
    Item("HEAD", "ref: refs/heads/main"), Item("archive/README", f"100644 {ONE}"), Item("objects", "1 objects f"),
    Item("refs/heads/main", ONE), Item("refs/remotes/o/HEAD", "ref: refs/remotes/o/main"),
]  # fmt: skip


def test_head_and_refs_are_taken_and_nothing_else() -> None:
    head, refs = refs_of(ITEMS, EVERYTHING)
    assert head == "ref: refs/heads/main"
    assert refs == (Ref("refs/heads/main", ONE), Ref("refs/remotes/o/HEAD", "", "refs/remotes/o/main"))
    assert refs_of(ITEMS, Selection(("refs/heads/",))) == ("", (Ref("refs/heads/main", ONE),))


def test_a_part_is_read_only_when_something_of_it_is_wanted() -> None:
    assert touches(EVERYTHING, "archive/")
    assert touches(Selection(("archive/src",)), "archive/")
    assert touches(Selection(("arch",)), "archive/")
    assert not touches(Selection(("refs/heads",)), "archive/")
