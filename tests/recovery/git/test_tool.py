"""Records of a stream, whatever pieces it comes in."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.errors import SourceError
from include.recovery.git.tool import records


@given(st.lists(st.binary(max_size=9).map(lambda text: text.replace(b"\0", b""))))
def test_records_are_what_lies_between_their_ends(expected: list[bytes]) -> None:
    stream = io.BytesIO(b"".join(each + b"\0" for each in expected))
    assert list(records(stream, b"\0")) == expected


def test_a_record_without_an_end_is_refused() -> None:
    with pytest.raises(SourceError, match="ends in the middle of a record"):
        list(records(io.BytesIO(b"whole\0half"), b"\0"))
