"""Documents as items: names that people recognise, digests over every byte, streams that end where they should."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson import Decimal128, Int64, ObjectId
from bson.binary import Binary
from hypothesis import given, settings
from hypothesis import strategies as st

from include.recovery.errors import BackupCorrupt, SourceError
from include.recovery.mongodb.documents import Sum, item_of, read_documents, split

VALUES = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.binary()
DOCUMENTS = st.builds(
    lambda identifier, value: bson.encode({"_id": identifier, "value": {"in": [value]}}), st.integers(0, 9), VALUES
)
FEW = settings(max_examples=40)


@pytest.mark.parametrize(
    ("identifier", "words"),
    [
        (42, "42"), (Int64(42), "42"), ("a/b\nc", r'"a/b\nc"'), ("é", '"é"'),
        (ObjectId("5f0c3a2b9d1e8f7a6b5c4d3e"), "ObjectId(5f0c3a2b9d1e8f7a6b5c4d3e)"),
        (datetime(2026, 11, 21, tzinfo=UTC), '{"$date": "2026-11-21T00:00:00Z"}'),
        (Decimal128("1.50"), '{"$numberDecimal": "1.50"}'), ({"user": 1, "day": 2}, '{"user": 1, "day": 2}'),
        (Binary(b"\x01\x02", 0), '{"$binary": {"base64": "AQI=", "subType": "00"}}'), (True, "true"), (None, "null"),
    ],
)  # fmt: skip
def test_a_document_is_named_by_its_id(identifier: Any, words: str) -> None:
    document = bson.encode({"_id": identifier, "n": 1})
    item = item_of(document, "shop.orders")
    assert item.name == f"shop.orders/{words}"
    assert item.size == len(document)


def test_an_id_that_is_no_text_has_a_name_all_the_same() -> None:
    document = bson.encode({"_id": "ab", "n": 1}).replace(b"ab", b"\xff\xfe")
    assert item_of(document, "shop.orders").order == b'shop.orders/"\xff\xfe"'


def test_a_long_id_keeps_the_name_short_and_its_own() -> None:
    one, other = (item_of(bson.encode({"_id": "x" * 3000 + end}), "a.b").name for end in "12")
    assert one != other
    assert len(one) < 600


def test_a_document_without_an_id_is_refused_by_its_collection() -> None:
    with pytest.raises(SourceError, match=r"a document of local\.log has no _id"):
        item_of(bson.encode({"n": 1}), "local.log")


@FEW
@given(one=DOCUMENTS, other=DOCUMENTS)
def test_digests_are_equal_when_all_bytes_are(one: bytes, other: bytes) -> None:
    assert (item_of(one, "a.b").digest == item_of(other, "a.b").digest) == (one == other)


@FEW
@given(documents=st.lists(DOCUMENTS))
def test_a_stream_gives_back_what_went_in(documents: list[bytes]) -> None:
    joined = b"".join(documents)
    assert list(read_documents(io.BytesIO(joined), "here")) == documents
    assert list(split(joined, "a.b")) == documents


@FEW
@given(documents=st.lists(DOCUMENTS, min_size=1), cut=st.integers(1, 10_000))
def test_a_stream_that_ends_inside_of_a_document_is_damaged(documents: list[bytes], cut: int) -> None:
    joined = b"".join(documents)
    short = joined[: -(1 + cut % (len(documents[-1]) - 1))]
    with pytest.raises(BackupCorrupt, match="use another backup"):
        list(read_documents(io.BytesIO(short), "here"))
    with pytest.raises(SourceError, match="no BSON document"):
        list(split(short, "a.b"))


@FEW
@given(documents=st.lists(DOCUMENTS, min_size=1))
def test_a_sum_does_not_see_the_order_and_sees_all_else(documents: list[bytes]) -> None:
    forth, back, fewer = Sum(), Sum(), Sum()
    for document in documents:
        forth.add(item_of(document, "a.b"))
    for document in reversed(documents):
        back.add(item_of(document, "a.b"))
    for document in documents[1:]:
        fewer.add(item_of(document, "a.b"))
    assert forth == back
    assert forth != fewer
