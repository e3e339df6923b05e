"""Items of a repository come in the order that an inventory asks for, whatever refs and files are called."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from include.recovery.content.inventory import measured
from include.recovery.content.model import Item
from include.recovery.git.items import Objects, in_order
from include.recovery.git.refs import Ref, Refs
from include.recovery.git.refs import in_order as sorted_refs

NAMES = st.lists(st.binary(min_size=1, max_size=9), unique=True)


@given(NAMES, NAMES, st.sampled_from(["", "ref: refs/heads/main", "1" * 40]))
def test_any_names(files: list[bytes], refs: list[bytes], head: str) -> None:
    found = Refs(sorted_refs(Ref(os.fsdecode(b"refs/" + name), "1" * 40) for name in refs), head)
    archived = [Item("archive/" + os.fsdecode(name), "100644 1") for name in sorted(files)]
    items = list(in_order(found, archived, [Item("lfs/" + "a" * 64, "a")], Objects(3, 17, "ff")))
    assert measured(items).items == len(files) + len(refs) + 2 + bool(head)
    assert Item("objects", "3 objects ff", 17) in items
