"""Archives that are whole, and all the ways in which they are not."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.errors import BackupCorrupt
from include.recovery.vault.snapshot import Snapshot, Tee, read

STATE = bytes(range(256)) * 40


def archive(state: bytes = STATE, *, sums: bool = True, told: bytes | None = None) -> bytes:
    meta = json.dumps({"Index": 57, "Term": 3}).encode()
    lines = "".join(
        f"{hashlib.sha256(data).hexdigest()}  {name}\n"
        for name, data in {"meta.json": meta, "state.bin": state if told is None else told}.items()
    )
    files = {"meta.json": meta, "state.bin": state} | ({"SHA256SUMS": lines.encode()} if sums else {})
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def test_a_whole_one_says_its_moment_and_its_state() -> None:
    begun: list[int] = []
    found = read(io.BytesIO(archive()), "here", BackupCorrupt, begun=begun.append)

    assert found == Snapshot(57, 3, hashlib.sha256(STATE).hexdigest(), len(STATE))
    assert begun == [57]
    assert [item.name for item in found.items()] == ["snapshot/position", "snapshot/state"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (archive(told=b"other"), "state.bin that is not what its sums say"),
        (archive(sums=False), "lacks meta.json, state.bin"),
        (b"", "no whole raft snapshot"),
        (b"{}", "no whole raft snapshot"),
    ],
    ids=["other state", "no sums", "nothing", "no archive"],
)
def test_what_is_wrong_is_named(data: bytes, said: str) -> None:
    with pytest.raises(BackupCorrupt, match=f"here: .*{said}"):
        read(io.BytesIO(data), "here", BackupCorrupt)


@given(st.integers(0, len(archive()) - 1))
def test_a_truncated_one_is_never_taken_for_whole(length: int) -> None:
    with pytest.raises(BackupCorrupt):
        read(io.BytesIO(archive()[:length]), "here", BackupCorrupt)


@given(st.lists(st.integers(1, 999)), st.integers(0, 10))
def test_a_tee_loses_nothing_whenever_it_is_told_where_to(sizes: list[int], first: int) -> None:
    data, to = bytes(range(256)) * 9, io.BytesIO()
    tee = Tee(io.BytesIO(data))
    for number, size in enumerate(sizes):
        if number == first:
            tee.pour_into(to)
        tee.read(size)
    if first >= len(sizes):
        tee.pour_into(to)
    while tee.read(100):
        pass

    assert to.getvalue() == data
