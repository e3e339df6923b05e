"""The RDB in what redis-cli writes: with and without the mark behind it, and never a part of one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.errors import SourceError
from include.recovery.redis.rdb import whole

CONTENT = st.binary(max_size=200).map(lambda body: b"REDIS0010" + body + b"\xff")
CHECKSUM = st.binary(min_size=8, max_size=8)
MARK = st.text("0123456789abcdef", min_size=40, max_size=40).map(str.encode)


def _pieces(content: bytes, size: int) -> list[bytes]:
    return [content[at : at + size] for at in range(0, len(content), size)]


@given(content=CONTENT, checksum=CHECKSUM, mark=MARK | st.just(b""), size=st.integers(1, 300))
def test_the_rdb_comes_out_without_the_mark(content: bytes, checksum: bytes, mark: bytes, size: int) -> None:
    pieces = _pieces(content + checksum + mark, size)
    assert b"".join(whole(iter(pieces), "here")) == content + checksum


def test_a_checksum_that_looks_like_the_end_of_a_mark_is_kept() -> None:
    content = b"REDIS0010" + b"a" * 60 + b"\xff" + b"0123abcd"
    assert b"".join(whole(iter([content]), "here")) == content


@given(content=CONTENT, cut=st.integers(1, 8))
def test_one_that_ends_early_is_refused(content: bytes, cut: int) -> None:
    short = content.replace(b"\xff", b"x")[:-1] + b"\xff" + b"12345678"[:-cut]
    with pytest.raises(SourceError, match="ended before its end"):
        list(whole(iter([short]), "here"))


def test_nothing_is_refused() -> None:
    with pytest.raises(SourceError, match="ended before its end"):
        list(whole(iter([]), "here"))


def test_what_is_no_rdb_is_refused_at_once() -> None:
    with pytest.raises(SourceError, match="instead of an RDB; is it Redis"):
        list(whole(iter([b"HTTP/1.1 400 Bad Request"]), "here"))
