"""What putting back changes, and the transactions that change it."""

from __future__ import annotations

from include.recovery.content.port import EVERYTHING, Selection
from include.recovery.git.put_back import Move, moves, transaction
from include.recovery.git.refs import Ref, Refs, in_order

ONE, TWO, NONE = "1" * 40, "2" * 40, "0" * 40
PLACE = "refs/lifeboat/before-20261121T190000Z/"


def refs(**ids: str) -> Refs:
    return Refs(in_order(Ref(f"refs/heads/{name}", each) for name, each in ids.items()))


def test_only_what_differs_moves() -> None:
    found = moves(refs(same=ONE, moved=ONE, gone=ONE), refs(same=ONE, moved=TWO, new=ONE).refs, EVERYTHING)
    ids = {move.name: tuple(each and each.object_id for each in (move.before, move.after)) for move in found}
    assert ids == {"refs/heads/gone": (ONE, None), "refs/heads/moved": (ONE, TWO), "refs/heads/new": (None, ONE)}


def test_what_was_not_asked_for_stays() -> None:
    only = Selection(("refs/heads/m",))
    found = moves(refs(moved=ONE, other=ONE), refs(moved=TWO).refs, only)
    assert [move.name for move in found] == ["refs/heads/moved"]


def test_everything_is_kept_aside_and_changed_in_one_transaction_with_what_it_was() -> None:
    (commands,) = transaction(moves(refs(moved=ONE, gone=TWO), refs(moved=TWO, new=ONE).refs, EVERYTHING), PLACE)
    assert commands.split(b"\0")[1:-1:1] == [
        word.encode() for word in (
            f"create {PLACE}heads/gone", TWO, "option no-deref", f"create {PLACE}heads/moved", ONE, "option no-deref",
            "delete refs/heads/gone", TWO, "option no-deref", "update refs/heads/moved", TWO, ONE, "option no-deref",
            "update refs/heads/new", ONE, NONE,
        )
    ]  # fmt: skip


def test_a_branch_that_makes_room_for_a_folder_of_its_name_goes_first() -> None:
    gone = Move("refs/heads/a", Ref("refs/heads/a", ONE), None)
    new = Move("refs/heads/a/b", None, Ref("refs/heads/a/b", TWO))
    first, second = transaction([gone, new], PLACE)
    assert b"delete refs/heads/a\0" in first
    assert f"create {PLACE}heads/a".encode() in first
    assert second == b"option no-deref\0update refs/heads/a/b\0" + f"{TWO}\0{NONE}\0".encode()
