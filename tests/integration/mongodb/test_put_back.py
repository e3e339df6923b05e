"""Putting back on the live server: collections exchanged, documents replaced, and what was there kept."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from include.recovery.content.port import Selection
from include.recovery.errors import PartMissing, Refused
from tests.fixtures.sabotage import volume_of
from tests.integration.mongodb.conftest import Site

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
MakeSite = Callable[..., Site]


def _damaged(place: Site) -> str:
    """A backup's id, of what was there before the damage."""
    place.database.orders.insert_many([{"_id": number, "total": number} for number in range(1200)])
    place.database.users.insert_many([{"_id": number, "name": f"user {number}"} for number in range(5)])
    place.database.users.create_index("name")
    place.database.gone.insert_one({"_id": "only"})
    place.database.same.insert_one({"_id": 1})
    backup = place.place.back_up()
    place.database.orders.delete_many({"total": {"$gte": 1000}})
    place.database.orders.update_one({"_id": 3}, {"$set": {"total": -1}})
    place.database.users.update_one({"_id": 1}, {"$set": {"name": "changed"}})
    place.database.users.insert_one({"_id": 99, "name": "new"})
    place.database.gone.drop()
    place.database.born.insert_one({"_id": 1})
    return backup.manifest.id


def _aside(place: Site) -> list[str]:
    return sorted(name for name in place.database.list_collection_names() if "__before_" in name)


def test_the_server_holds_the_backup_again_and_what_was_there_is_kept(site: MakeSite) -> None:
    place = site()
    shop, backup = place.place, place.place.again(_damaged(place))
    differing = {change.name: change.how for change in shop.verbs.preview(shop.workspace, backup)}
    name = place.name
    assert len(differing) == 200 + 1 + 2 + 2 + 2
    assert differing[f"{name}.orders/3"] == "content"
    assert differing[f"{name}.gone"] == "missing"
    assert differing[f"{name}.born/1"] == "unexpected"

    done = shop.verbs.put_back(shop.workspace, backup, leave="depot/shop")
    assert done.changed == len(differing)
    assert [*shop.verbs.preview(shop.workspace, backup)] == []
    assert [aside.partition("__")[0] for aside in _aside(place)] == ["born", "orders", "users"]
    assert all(aside in done.aside for aside in _aside(place))
    (orders,) = (aside for aside in _aside(place) if aside.startswith("orders"))
    assert place.database[orders].count_documents({}) == 1000
    assert place.database[orders].find_one({"_id": 3}) == {"_id": 3, "total": -1}

    again = shop.verbs.put_back(shop.workspace, backup, leave="depot/shop")
    assert (again.changed, again.aside) == (0, "nothing was in the way")
    left_out = [each.what for each in shop.back_up().manifest.left_out]
    assert f"{name}.{orders}" in left_out


def test_single_documents_are_put_back_in_place(site: MakeSite) -> None:
    place = site()
    shop, backup = place.place, place.place.again(_damaged(place))
    only = Selection((f"{place.name}.users/1", f"{place.name}.users/9"))
    done = shop.verbs.put_back(shop.workspace, backup, leave="depot/shop", only=only)
    assert done.changed == 2
    assert place.database.users.find_one({"_id": 1}) == {"_id": 1, "name": "user 1"}
    assert place.database.users.find_one({"_id": 99}) is None
    (aside,) = _aside(place)
    assert [*place.database[aside].find({}, sort=[("_id", 1)])] == [
        {"_id": 1, "name": "changed"}, {"_id": 99, "name": "new"},
    ]  # fmt: skip
    assert place.database.orders.count_documents({}) == 1000  # nobody asked for it


def test_without_a_login_that_may_write_nothing_is_touched(site: MakeSite) -> None:
    place = site(restore_connection=None)
    shop, backup = place.place, place.place.again(_damaged(place))
    with pytest.raises(Refused, match="names no 'restore_connection'"):
        shop.verbs.put_back(shop.workspace, backup, leave="depot/shop")
    assert _aside(place) == []
    assert place.database.orders.count_documents({}) == 1000


def test_a_part_that_is_gone_exchanges_nothing_of_its_collection(site: MakeSite) -> None:
    place = site()
    shop, backup = place.place, place.place.again(_damaged(place))
    volume_of(shop, backup, "c00002").unlink()  # of orders, the second by name
    with pytest.raises(PartMissing, match="c00002"):
        shop.verbs.put_back(shop.workspace, backup, leave="depot/shop")
    assert place.database.orders.count_documents({}) == 1000
    assert _aside(place) == []  # the first, which was gone, is there again
    assert place.database.gone.count_documents({}) == 1
