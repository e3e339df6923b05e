"""A bundle's header: written, read back, and refused where it is none."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.errors import BackupCorrupt
from include.recovery.git.bundle import Joined, header, read_header
from include.recovery.git.refs import Ref, Refs

ONE = "1" * 40


@pytest.mark.parametrize("object_id", [ONE, "a" * 64])
def test_what_is_written_is_read(object_id: str) -> None:
    refs = Refs((Ref("refs/heads/\udce4", object_id), Ref("refs/heads/refs/heads/x", object_id)), "", object_id)
    stream = io.BytesIO(header(refs) + b"PACK...")
    found = read_header(stream, "here")
    assert found.object_format == refs.object_format
    assert found.refs == {"HEAD": object_id, "refs/heads/\udce4": object_id, "refs/heads/refs/heads/x": object_id}
    assert stream.read() == b"PACK..."


@pytest.mark.parametrize("data", [
    b"", b"PACK", b"# v9 git bundle\n\n", b"# v2 git bundle\n", b"# v2 git bundle\n-" + ONE.encode() + b"\n\n",
    b"# v2 git bundle\n" + ONE.encode() + b"\n\n", b"# v2 git bundle\n" + ONE[:9].encode() + b" refs/heads/x\n\n",
    b"# v2 git bundle\n" + ONE.encode() + b" refs/heads/x", b"# v3 git bundle\n@filter=blob:none\n\n",
])  # fmt: skip
def test_what_is_no_whole_bundle_is_refused(data: bytes) -> None:
    with pytest.raises(BackupCorrupt, match="here: "):
        read_header(io.BytesIO(data), "here")


@given(st.binary(), st.binary(), st.integers(1, 7))
def test_two_streams_in_a_row(first: bytes, then: bytes, size: int) -> None:
    joined, found = Joined(first, io.BytesIO(then)), b""
    while chunk := joined.read(size):
        found += chunk
    assert found == first + then
