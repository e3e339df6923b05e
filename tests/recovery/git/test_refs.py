"""Refs out of what git prints, in order, and what patterns take away."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from include.recovery.git.refs import Ref, Refs, in_order, matches, parse_listing, parse_remote, symbolic_target

ONE, TWO, TAG = "1" * 40, "2" * 40, "3" * 40
NAMES = st.binary(min_size=1, max_size=20).filter(lambda name: not set(name) & set(b" \n\r\t\0"))


def test_a_listing_has_names_of_any_bytes_and_symbolic_refs() -> None:
    found = parse_listing(
        f"{ONE}  refs/heads/main\n{ONE} refs/heads/main refs/remotes/o/HEAD\n".encode() + TWO.encode()
        + b"  refs/heads/\xe4 \n"
    )  # fmt: skip
    assert found == (
        Ref("refs/heads/main", ONE), Ref("refs/heads/\udce4 ", TWO), Ref("refs/remotes/o/HEAD", ONE, "refs/heads/main"),
    )  # fmt: skip
    assert found[2].digest == "ref: refs/heads/main"
    assert symbolic_target(found[2].digest) == "refs/heads/main"
    assert not symbolic_target(found[0].digest)


@given(st.lists(NAMES, unique=True))
def test_refs_are_in_the_order_of_their_bytes(names: list[bytes]) -> None:
    refs = in_order(Ref(os.fsdecode(b"refs/" + name), ONE) for name in names)
    assert [ref.order for ref in refs] == sorted(b"refs/" + name for name in names)


def test_what_a_server_shows() -> None:
    found = parse_remote(
        f"ref: refs/heads/main\tHEAD\n{ONE}\tHEAD\n{ONE}\trefs/heads/main\n".encode()
        + f"{TAG}\trefs/tags/v1\n{TWO}\trefs/tags/v1^{{}}\n".encode()
    )
    assert found == Refs((Ref("refs/heads/main", ONE), Ref("refs/tags/v1", TAG)), "ref: refs/heads/main", ONE)
    assert found.head_target == "refs/heads/main"
    detached = parse_remote(f"{TWO}\tHEAD\n{ONE}\trefs/heads/main\n".encode())
    assert (detached.head, detached.head_id, detached.head_target) == (TWO, TWO, "")
    assert parse_remote(b"") == Refs(())


def test_the_format_is_known_by_the_length_of_names() -> None:
    assert Refs((Ref("refs/heads/a", "a" * 64),)).object_format == "sha256"
    assert Refs((Ref("refs/heads/a", ONE),)).object_format == "sha1"


def test_patterns_take_whole_names_beginnings_and_shell_patterns() -> None:
    assert matches("refs/pull/1/head", "refs/pull")
    assert matches("refs/pull/1/head", "refs/pull/")
    assert matches("refs/pull", "refs/pull")
    assert not matches("refs/pullover", "refs/pull")
    assert matches("refs/pull/1/merge", "refs/pull/*/merge")
    refs = Refs(tuple(Ref(f"refs/{name}", ONE) for name in ("a/1", "a/2", "b")))
    kept, taken = refs.without(["refs/a", "refs/c"])
    assert [ref.name for ref in kept.refs] == ["refs/b"]
    assert taken == {"refs/a": 2, "refs/c": 0}
