"""Fill, back up, damage, restore, compare: documents of a MongoDB, and the definitions of their collections."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Binary, ObjectId

from include.recovery.catalog.model import ProofLevel
from include.recovery.content import scratch_server
from include.recovery.content.port import Selection
from include.recovery.errors import CopyLost
from include.recovery.evidence.model import Outcome
from include.recovery.mongodb import scratch
from tests.integration.mongodb.conftest import EMULATED, Site

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
MakeSite = Callable[..., Site]
ORDERS = 2500


def fill(site: Site, orders: int = 20) -> None:
    """Documents of many types, more than one answer of the server holds."""
    site.database.orders.insert_many([
        {"_id": ObjectId(f"{number:024x}"), "user": f"user {number % 97}", "total": number / 7, "lines": [
            {"sku": f"s{number}", "count": number % 5, "gift": number % 2 == 0, "note": None},
        ]} for number in range(orders)
    ])  # fmt: skip
    site.database.users.insert_many([
        {"_id": "ann@example.org", "since": datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC), "tags": ["a", "ü", "日本"]},
        {"_id": "bob@example.org", "photo": Binary(b"\x00\xff" * 50), "age": 41},
        {"_id": 7, "nested": {"deep": {"er": [1, 2.5, {"x": "y"}]}}, "empty": {}, "list": []},
    ])  # fmt: skip
    site.database.users.create_index("since")
    site.database.users.create_index("mail", unique=True, sparse=True)
    site.database.create_collection("empty")
    site.database.cache_pages.insert_one({"_id": 1})


@pytest.mark.demand("L11", emulated=EMULATED)
def test_every_document_comes_back(site: MakeSite) -> None:
    place = site(questions=[
        {"name": "there are orders", "collection": "orders", "at_least": ORDERS},
        {"name": "one user is a number", "collection": "users", "filter": {"_id": 7}, "expect": 1},
        {"name": "nobody is called zoe", "collection": "users", "filter": {"_id": "zoe"}, "expect": 1},
    ])  # fmt: skip
    fill(place, ORDERS)
    name, shop = place.name, place.place
    ready = shop.verbs.precheck(shop.workspace, shop.system, shop.source)
    assert ready.startswith("all 3 collections can be read, read twice")  # and the excluded one is none of them
    backup = shop.back_up()
    content = backup.manifest.content
    assert content is not None
    assert content.items == ORDERS + 3 + 3  # documents, and the definitions of three collections
    left_out = {each.what: each.why for each in backup.manifest.left_out}
    assert left_out[f"{name}.cache_pages"] == "rebuilt on start"
    assert "it is the server's own" in left_out["database admin"]
    assert any(what.startswith("users and roles") for what in left_out)

    place.database.orders.drop()
    place.database.users.delete_one({"_id": 7})
    folder = shop.copy(backup)
    found = shop.compare(backup, folder)
    assert found.identical, found.differences
    assert found.verdict == f"identical: {ORDERS + 6:,} documents compared, every one equal"
    assert shop.again(backup.manifest.id).level is ProofLevel.IDENTICAL

    checks = shop.verbs.validate(shop.workspace, backup, folder)
    assert [check.outcome for check in checks] == [Outcome.PASSED, Outcome.PASSED, Outcome.FAILED]
    assert (checks[2].found, checks[2].expected) == ("0", "1")


def test_a_copy_that_was_changed_is_told_by_document(site: MakeSite) -> None:
    place = site()
    fill(place)
    backup = place.place.back_up()
    folder = place.place.copy(backup)
    with scratch.client_of(scratch_server.running(folder)) as client:
        copy = client[place.name]
        copy.orders.update_one({"_id": ObjectId(f"{5:024x}")}, {"$set": {"total": 2.5}})
        copy.users.delete_one({"_id": "ann@example.org"})
        copy.users.insert_one({"_id": 8})
        copy.users.drop_indexes()
        copy.empty.drop()
    found = place.place.compare(backup, folder)
    name = place.name
    assert {(each.object, each.kind) for each in found.differences} == {
        (f"{name}.orders/ObjectId({5:024x})", "content"), (f'{name}.users/"ann@example.org"', "missing"),
        (f"{name}.users/8", "unexpected"), (f"{name}.users", "content"), (f"{name}.empty", "missing"),
    }  # fmt: skip
    assert place.place.again(backup.manifest.id).level is not ProofLevel.IDENTICAL


def test_one_collection_or_one_document_can_be_had_alone(site: MakeSite) -> None:
    place = site()
    fill(place)
    shop, backup = place.place, place.place.back_up()
    for prefix, count in ((f"{place.name}.users", 4), (f'{place.name}.users/"bob', 1)):
        only = Selection((prefix,))
        folder = shop.copy(backup, only)
        found = shop.compare(backup, folder, only)
        assert found.identical, found.differences
        assert found.compared_rows == count
        with scratch.client_of(scratch_server.running(folder)) as client:
            assert "orders" not in client[place.name].list_collection_names()
    assert shop.again(backup.manifest.id).level is ProofLevel.RESTORED


def test_a_copy_whose_server_died_is_lost_not_different(site: MakeSite) -> None:
    place = site()
    place.database.users.insert_one({"_id": 1})
    backup = place.place.back_up()
    folder = place.place.copy(backup)
    server = scratch_server.running(folder)
    scratch_server.end(server)
    with pytest.raises(CopyLost, match="restore the backup again"):
        place.place.compare(backup, folder)
    place.place.verbs.discard(folder)
    assert not folder.exists()


def test_what_did_not_change_needs_no_new_backup(site: MakeSite) -> None:
    place = site()
    place.database.users.insert_one({"_id": 1})
    shop = place.place
    backup = shop.back_up()
    same: Any = shop.verbs.unchanged(shop.workspace, shop.system, shop.source)
    assert same.backup.manifest.id == backup.manifest.id
    place.database.users.update_one({"_id": 1}, {"$set": {"age": 2}})
    assert shop.verbs.unchanged(shop.workspace, shop.system, shop.source) is None
