"""What goes wrong with a MongoDB backup, and that each is red for its own reason."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from include.recovery.content import scratch_server
from include.recovery.errors import (
    InsufficientRights,
    PartDamaged,
    PartMissing,
    SourceError,
    SourceUnavailable,
    WrongKey,
)
from include.recovery.mongodb import scratch
from include.recovery.sources.run_info import RunInfo
from tests.fixtures.content import ContentPlace
from tests.fixtures.sabotage import Meanwhile, flip, other_keyring, truncate, volume_of
from tests.integration.mongodb.conftest import EMULATED, Site

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
MakeSite = Callable[..., Site]
Start = Callable[..., scratch_server.Server]
DOCUMENTS = 300
RUN = RunInfo(run_id="run-1", started_by="a test")


@pytest.mark.parametrize(
    ("spoil", "error", "part"),
    [
        (flip, PartDamaged, "c00001"), (truncate, PartDamaged, "c00001"), (Path.unlink, PartMissing, "c00001"),
        (flip, PartDamaged, "definitions"), (Path.unlink, PartMissing, "inventory"),
    ],
)  # fmt: skip
def test_a_part_that_is_damaged_or_gone(
    site: MakeSite, spoil: Callable[[Path], None], error: type[Exception], part: str
) -> None:
    place = site()
    place.database.users.insert_many([{"_id": number, "text": os.urandom(40).hex()} for number in range(50)])
    shop, backup = place.place, place.place.back_up()
    spoil(volume_of(shop, backup, part))
    with pytest.raises(error, match=part):
        shop.verbs.verify(shop.workspace, backup)
    with pytest.raises(error, match=part):
        shop.compare(backup, shop.copy(backup))
    assert shop.again(backup.manifest.id).damaged


def test_the_wrong_key(site: MakeSite) -> None:
    place = site()
    place.database.users.insert_one({"_id": 1})
    backup = place.place.back_up()
    place.place.workspace.ring = other_keyring()
    with pytest.raises(WrongKey):
        place.place.copy(backup)


class Writer:
    """Changes documents for as long as the block lasts."""

    def __init__(self, place: Site) -> None:
        self._place, self._stop = place, threading.Event()
        self._thread = threading.Thread(target=self._write)

    def _write(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            self._place.database.moving.update_one({"_id": number % DOCUMENTS}, {"$set": {"seen": number}})

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def test_what_changes_while_it_is_read_is_no_backup(site: MakeSite) -> None:
    place = site()
    place.database.moving.insert_many([{"_id": number, "seen": 0} for number in range(DOCUMENTS)])
    place.database.still.insert_one({"_id": 1})
    with Writer(place), pytest.raises(SourceError, match=rf"documents of {place.name}\.moving changed while"):
        place.place.back_up()
    assert place.place.backups() == []
    place.place.prove()  # nobody writes any more


def test_a_policy_can_accept_it_and_the_manifest_says_so(site: MakeSite) -> None:
    place = site(accept_changes=True)
    place.database.moving.insert_many([{"_id": number, "seen": 0} for number in range(DOCUMENTS)])
    with Writer(place):
        backup = place.place.back_up()
    found = place.place.compare(backup, place.place.copy(backup))
    assert found.identical, found.differences  # what was stored is what was fingerprinted, whatever changed
    (why,) = (each.why for each in backup.manifest.left_out if each.what == f"one moment of {place.name}.moving")
    assert "each document is as of when it was read" in why


@pytest.mark.demand("L11", emulated=EMULATED)
def test_a_replica_set_is_read_as_of_one_moment(site: MakeSite, start: Start, tmp_path: Path) -> None:
    """nx-27017 has no past of its own: ``tests/fixtures/nx_server.py`` answers from a copy of the first read's moment.

    So this proves what the driver is asked for, in every read of a backup, and not how a replica set answers.
    """
    log = tmp_path / "finds"
    server = start("--replica-set", "rs0", "--log", str(log))
    with scratch.client_of(server) as client:
        place = site(server, client)
        for name in ("first", "moving"):
            place.database[name].insert_many([
                {"_id": number, "seen": 0, "text": os.urandom(200).hex()} for number in range(DOCUMENTS)
            ])  # fmt: skip
        shop = place.place
        assert "as of one moment" in shop.verbs.precheck(shop.workspace, shop.system, shop.source)
        log.unlink()
        with Writer(place):
            manifest = shop.verbs.backup(shop.workspace, shop.system, shop.source, None, run=RUN)
        finds = [json.loads(line) for line in log.read_text().splitlines()]
        assert [each["find"] for each in finds] == ["first", "moving"]  # and nothing had to be read again
        assert "'level': 'snapshot'" in finds[0]["concern"]
        assert "atClusterTime" in finds[1]["concern"]
    assert manifest.lsn is not None
    assert not [each for each in manifest.left_out if each.what.startswith("one moment")]
    backup = shop.again(manifest.id)
    folder = shop.copy(backup)
    assert shop.compare(backup, folder).identical
    with scratch.client_of(scratch_server.running(folder)) as copy:
        seen = {each["_id"]: each["seen"] for each in copy[place.name].moving.find()}
    # The writer counts through the documents: all that he had written by then are there, and none after it.
    last = max(seen.values())
    assert {number for number in seen.values() if number} == set(range(max(1, last - DOCUMENTS + 1), last + 1))


def test_a_collection_that_is_made_meanwhile(site: MakeSite) -> None:
    place = site()
    place.database.users.insert_many([{"_id": number, "text": os.urandom(900).hex()} for number in range(2000)])
    shop = place.place
    new = Meanwhile(lambda: place.database.born.insert_one({"_id": 1}) and None, part="c00001")
    with pytest.raises(SourceError, match=rf"made, dropped or defined anew .*: {place.name}\.born"):
        shop.verbs.backup(shop.workspace, shop.system, shop.source, None, run=RUN, progress=new)
    assert new.done
    assert shop.backups() == []


def test_a_server_that_goes_in_the_middle(site: MakeSite, start: Start, tmp_path: Path) -> None:
    server = start()
    with scratch.client_of(server) as client:
        place = site(server, client)
        place.database.users.insert_many([{"_id": number, "text": os.urandom(900).hex()} for number in range(5000)])
        shop = place.place
        gone = Meanwhile(lambda: os.kill(server.pid, signal.SIGKILL), part="c00001")
        with pytest.raises(SourceUnavailable, match="depot/shop: the MongoDB server cannot be reached or went away"):
            shop.verbs.backup(shop.workspace, shop.system, shop.source, None, run=RUN, progress=gone)
    assert gone.done
    assert shop.backups() == []
    assert [path for path in (tmp_path / "primary").rglob("*") if "parts" in path.parts and path.is_file()] == []


def test_a_server_that_is_not_there(content_place: Callable[..., ContentPlace]) -> None:
    place = content_place(
        {"kind": "mongodb", "connection": "shop"},
        connections={"shop": {
            "host": "127.0.0.1", "port": scratch_server.free_port(), "login": "reader", "password": "very secret",
            "extra": {"serverSelectionTimeoutMS": 300},
        }},
    )  # fmt: skip
    with pytest.raises(SourceUnavailable, match="cannot be reached") as caught:
        place.verbs.precheck(place.workspace, place.system, place.source)
    assert "very secret" not in str(caught.value)


def test_a_login_that_is_refused_is_told_without_its_password(
    content_place: Callable[..., ContentPlace], mongodb: scratch_server.Server
) -> None:
    """nx-27017 knows no logins; ``nx_server.py`` refuses each with MongoDB's own words."""
    place = content_place(
        {"kind": "mongodb", "connection": "shop"},
        connections={"shop": {
            "host": "127.0.0.1", "port": int(mongodb.address), "login": "reader", "password": "very secret",
        }},
    )  # fmt: skip
    with pytest.raises(InsufficientRights, match=r"may not do this \(Authentication failed") as caught:
        place.back_up()
    assert "very secret" not in str(caught.value) + repr(caught.value.__cause__)


def test_a_collection_that_may_not_be_read_is_named(site: MakeSite, start: Start) -> None:
    server = start("--forbid", "secrets")
    with scratch.client_of(server) as client:
        place = site(server, client)
        place.database.users.insert_one({"_id": 1})
        place.database.secrets.insert_one({"_id": 1})
        shop = place.place
        with pytest.raises(InsufficientRights, match=rf"cannot read {place.name}\.secrets \(not authorized"):
            shop.verbs.precheck(shop.workspace, shop.system, shop.source)
        with pytest.raises(InsufficientRights, match="not authorized"):
            shop.back_up()
    assert shop.backups() == []


def test_a_database_that_is_not_there_is_named(site: MakeSite) -> None:
    place = site(databases=["nowhere"], exclude=[])
    with pytest.raises(SourceError, match="names databases that the server does not have: nowhere"):
        place.place.back_up()
