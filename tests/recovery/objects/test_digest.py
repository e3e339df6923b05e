from __future__ import annotations

import hashlib
import io
from datetime import UTC, datetime

import pytest

from include.recovery.errors import SourceError
from include.recovery.objects.digest import as_request, attributes_of, digest, measured

ANSWER = {
    "ContentType": "image/png",
    "CacheControl": "no-cache",
    "ContentLength": 3,
    "ETag": '"x"',
    "ExpiresString": "Thu, 01 Dec 2033 16:00:00 GMT",
    "Metadata": {"owner": "ada", "lifeboat-version": "v1"},
}


def test_a_copy_has_the_digest_of_its_original() -> None:
    original = {**ANSWER, "Metadata": {"owner": "ada"}, "ETag": '"other"'}
    assert attributes_of(original) == attributes_of(ANSWER)
    assert measured(io.BytesIO(b"abc"), attributes_of(original)) == measured(io.BytesIO(b"abc"), attributes_of(ANSWER))


def test_a_digest_begins_with_that_of_the_content() -> None:
    sha = hashlib.sha256(b"abc").hexdigest()
    assert measured(io.BytesIO(b"abc"), {}).startswith(sha + "-")
    assert digest(sha, {"ContentType": "text/html"}) != digest(sha, {})


def test_what_the_service_sets_by_itself_is_no_attribute() -> None:
    assert attributes_of({"ContentType": "binary/octet-stream", "Metadata": {}}) == {}
    assert attributes_of({"ContentType": ""}) == {}


def test_attributes_go_back_as_they_came() -> None:
    request = as_request(attributes_of(ANSWER), {"lifeboat-version": "v1"})
    assert request == {
        "ContentType": "image/png",
        "CacheControl": "no-cache",
        "Expires": datetime(2033, 12, 1, 16, tzinfo=UTC),
        "Metadata": {"owner": "ada", "lifeboat-version": "v1"},
    }
    with pytest.raises(SourceError, match="no date"):
        as_request({"Expires": "soon"})
