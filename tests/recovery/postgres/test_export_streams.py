"""An export read back: hashed as it passes, and refused at its end when it is another one."""

from __future__ import annotations

import hashlib
import io

import pytest

from include.recovery.catalog.model import Export
from include.recovery.errors import PartDamaged
from include.recovery.postgres.export_streams import Checked

CSV = b"user_id\n1\n2\n"


def export(data: bytes) -> Export:
    sha512 = hashlib.sha512(data).hexdigest()
    return Export(name="users", part="export-users", query="", columns=("user_id",), rows=2, sha512=sha512)


def test_it_is_given_out_whole_and_the_backup_let_go_once() -> None:
    closed: list[bool] = []
    with io.BufferedReader(Checked(io.BytesIO(CSV), export(CSV), lambda: closed.append(True))) as stream:
        assert stream.read() == CSV
        assert closed == []
    stream.close()
    assert closed == [True]


def test_another_one_is_red_at_its_end() -> None:
    stream = Checked(io.BytesIO(CSV[:-2]), export(CSV), lambda: None)
    with pytest.raises(PartDamaged, match="export users: its CSV has not the SHA-512"):
        stream.read()
