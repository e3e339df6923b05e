"""Definitions of collections: written and read back exactly, and equal when they mean the same."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from bson import Decimal128, Regex

from include.recovery.errors import BackupCorrupt
from include.recovery.mongodb.definitions import ASIDE, Definition, read_definitions

ORDERS = Definition(
    "shop", "orders", "collection",
    {"validator": {"total": {"$gte": Decimal128("0.00")}, "code": {"$regex": Regex("^A", "i")}}, "capped": False},
    (
        {"v": 2, "key": {"_id": 1}, "name": "_id_"},
        {"v": 2, "key": {"user": 1, "at": -1}, "name": "mine", "unique": True},
    ),
    "c00001", 3, 2**40,
)  # fmt: skip


def test_a_definition_comes_back_as_it_was() -> None:
    view = Definition("shop", "open", "view", {"viewOn": "orders", "pipeline": [{"$match": {"open": True}}]})
    found = list(read_definitions(io.BytesIO(ORDERS.line() + view.line()), "here"))
    assert [each.item for each in found] == [ORDERS.item, view.item]
    assert found[0].indexes[1]["key"] == {"user": 1, "at": -1}
    assert list(found[0].indexes[1]["key"]) == ["user", "at"]
    assert (found[0].part, found[0].documents, found[0].size) == ("c00001", 3, 2**40)
    assert found[1].is_view


def test_what_means_another_thing_has_another_digest() -> None:
    turned = replace(ORDERS, indexes=(ORDERS.indexes[0], {**ORDERS.indexes[1], "key": {"at": -1, "user": 1}}))
    loosened = replace(ORDERS, options={})
    assert len({each.item.digest for each in (ORDERS, turned, loosened)}) == 3


def test_what_means_the_same_has_the_same_digest() -> None:
    other = replace(
        ORDERS, options=dict(reversed(ORDERS.options.items())), indexes=ORDERS.indexes[::-1], part=None, documents=9
    )
    assert other.item == ORDERS.item


def test_a_line_that_is_none_is_damage() -> None:
    with pytest.raises(BackupCorrupt, match="a line of its definitions cannot be read"):
        list(read_definitions(io.BytesIO(ORDERS.line()[:-9] + b"\n"), "here"))


def test_a_slash_in_a_name_cannot_be_taken_for_a_document() -> None:
    assert Definition("shop", "a/4%", "collection").namespace == "shop.a%2F4%25"


@pytest.mark.parametrize(
    "name",
    ["orders__before_20261121t190000z", "orders_1__before_20261121t190000z", "orders__restored_20261121t190000z"],
)
def test_what_was_kept_aside_is_known(name: str) -> None:
    assert re.search(ASIDE, name)


@pytest.mark.parametrize("name", ["orders", "orders__before_christmas"])
def test_what_looks_a_little_like_it_is_not(name: str) -> None:
    assert not re.search(ASIDE, name)
