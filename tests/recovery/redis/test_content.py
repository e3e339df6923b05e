"""Names of keys, and what a digest covers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from include.recovery.redis.content import NEVER, Held, item_of, key_of, name_of


@given(database=st.integers(0, 1000), key=st.binary())
def test_any_key_can_be_told_from_its_name(database: int, key: bytes) -> None:
    assert key_of(name_of(database, key)) == (database, key)


def test_an_expiry_is_compared_and_can_be_read_back() -> None:
    held = Held(b"digest", 6)
    for_ever, until = item_of(0, b"key", held, NEVER), item_of(0, b"key", held, 1_700_000_000_000)
    assert for_ever.digest != until.digest
    assert (for_ever.at, until.at) == ("-1", "1700000000000")
    assert until.name == "db0/key"
