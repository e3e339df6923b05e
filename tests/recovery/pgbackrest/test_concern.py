"""Which problems of a repository make a backup unfit."""

from __future__ import annotations

import pytest

from include.recovery.catalog.model import PhysicalBackup
from include.recovery.pgbackrest.concern import problems_of
from tests.recovery.pgbackrest.conftest import DIFF, FULL, INCR, SYSTEM, name

PHYSICAL = PhysicalBackup(
    stanza="shop-main-db", label=INCR, type="incr", repository=1, reference=(FULL,), timeline=1, lsn_start="0/5000000",
    lsn_stop="0/5000100", wal_start=name(5), wal_stop=name(5), system_identifier=SYSTEM, database_size=1,
    repository_size=1,
)


@pytest.mark.parametrize(
    ("problem", "concerns"),
    [
        (f"stanza s: repository 1: {FULL}/pg_data/base/1/2 is damaged", True),
        (f"stanza s: repository 1: backup {INCR} is invalid: 3 of 4 files are good", True),
        (f"stanza s: repository 1: {DIFF}/pg_data/base/1/2 is damaged", False),
        ("stanza s: repository 1: backup 20261114-070000F is invalid", False),
        (f"stanza s: repository 1: 15-1/0000000100000000/{name(4)}-7fda.zst is damaged", False),
        (f"stanza s: repository 1: 15-1/0000000100000000/{name(5)}-7fda.zst is damaged", True),
        (f"stanza s: repository 1: 15-1/0000000100000000/{name(9)}-7fda.zst is damaged", True),
        ("stanza s: repository 1 does not verify, and pgBackRest names no file", True),
        ("stanza s: repository 1: 8 of 9 WAL segments of 15-1 are good", True),
    ],
)
def test_only_what_it_needs_concerns_a_backup(problem: str, concerns: bool) -> None:
    assert problems_of([problem], PHYSICAL) == ((problem,) if concerns else ())
