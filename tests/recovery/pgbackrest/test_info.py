"""What `pgbackrest info` says."""

from __future__ import annotations

from datetime import timedelta

import pytest

from include.recovery.errors import BackupNotFound, ManifestInvalid
from include.recovery.pgbackrest.backup import physical_of
from include.recovery.pgbackrest.check import of_info
from include.recovery.pgbackrest.info import parse_info
from tests.recovery.pgbackrest.conftest import DIFF, FULL, INCR, START, SYSTEM, backup_json, info, info_json, name

CHAIN = (
    backup_json(FULL, minute=2, wal=(name(2), name(2))),
    backup_json(INCR, minute=4, wal=(name(3), name(4)), prior=FULL, reference=[FULL]),
    backup_json(DIFF, minute=6, wal=(name(6), name(6)), prior=FULL, reference=[FULL]),
)


def test_a_backup_is_read_whole() -> None:
    found = info(*CHAIN).backup(INCR, 1)
    assert (found.type, found.prior, found.references) == ("incr", FULL, (FULL,))
    assert (found.wal_start, found.wal_stop, found.timeline) == (name(3), name(4), 1)
    assert found.stopped_at == START + timedelta(minutes=4)
    assert (found.size, found.repository_size, found.repository_delta) == (23213850, 2855952, 464)
    assert (found.annotations, found.tool_version, found.error) == ({"run": "r"}, "2.45", False)


def test_a_chain_has_the_full_one_first_and_removal_goes_the_other_way() -> None:
    last = backup_json("20261121-070000F_20261121-100000I", minute=8, wal=(name(8), name(8)), prior=DIFF,
                       reference=[FULL, DIFF])
    found = info(*CHAIN, last)
    assert found.chain(last["label"], 1) == (FULL, DIFF, last["label"])
    assert found.dependants(FULL, 1) == (last["label"], DIFF, INCR)
    assert found.dependants(DIFF, 1) == (last["label"],)
    assert found.dependants(INCR, 1) == ()


def test_an_incremental_whose_full_is_gone_is_found() -> None:
    found = info(*CHAIN[1:])
    with pytest.raises(BackupNotFound, match=f"{INCR} in repository 1 needs {FULL}, which is gone; it cannot be"):
        found.chain(INCR, 1)
    assert [problem for problem in of_info(found) if INCR in problem and "which is gone" in problem]


def test_repositories_are_kept_apart() -> None:
    found = info(CHAIN[0], backup_json("20261121-080000F", minute=9, wal=(name(9), name(9)), repository=2))
    assert [each.label for each in found.in_repository(2)] == ["20261121-080000F"]
    with pytest.raises(BackupNotFound, match=f"repository 2 has no backup {FULL}; its newest are 20261121-080000F"):
        found.backup(FULL, 2)


def test_what_the_catalog_keeps() -> None:
    damaged = {"error": True, "error-list": ["base/1/2", "base/1/3"], "database-ref": [{"name": "shop", "oid": 5}]}
    found = info(CHAIN[0] | damaged)
    physical = physical_of(found, found.backups[0])
    assert (physical.stanza, physical.label, physical.type, physical.repository) == ("shop-main-db", FULL, "full", 1)
    assert (physical.lsn_stop, physical.system_identifier, physical.databases) == ("0/2000100", SYSTEM, ("shop",))
    assert physical.page_checksum_errors == 2
    assert any("pages failed their checksum" in problem for problem in of_info(found))


@pytest.mark.parametrize("code", [1, 3])
def test_a_stanza_that_was_never_made(code: int) -> None:
    found = info(code=code, message="missing stanza path")
    assert found.repository(1).lacks_stanza
    assert not found.repository(1).unreadable


def test_a_repository_that_cannot_be_read_is_not_taken_for_an_empty_one() -> None:
    found = info(code=99, message="[HostConnectError] unable to connect to 's3.example.com:443'")
    assert found.repository(1).unreadable
    assert not found.repository(1).lacks_stanza
    assert "unable to connect" in of_info(found)[0]


@pytest.mark.parametrize("answer", ["", "{}", "[]", "null", '[{"name": "shop-main-db"}]', "[1]"])
def test_nonsense_is_refused(answer: str) -> None:
    with pytest.raises(ManifestInvalid):
        parse_info(answer, "shop-main-db")
    with pytest.raises(ManifestInvalid, match="says nothing of stanza other"):
        parse_info(info_json(), "other")
