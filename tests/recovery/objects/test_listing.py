from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.errors import SourceError
from include.recovery.objects.listing import FOLLOWING, ROWS, Version, by_key, mend, parsed, read_page, side_by_side

PAGE = b"""<?xml version="1.0" encoding="UTF-8"?>
<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>uploads</Name><EncodingType>url</EncodingType>
<IsTruncated>true</IsTruncated><NextKeyMarker>b%0Ab+c</NextKeyMarker><NextVersionIdMarker>v4</NextVersionIdMarker>
<Version><Key>a</Key><VersionId>v3</VersionId><IsLatest>true</IsLatest><LastModified>2026-11-21T10:00:00.000Z</LastModified>
<ETag>&quot;e3&quot;</ETag><Size>3</Size><Owner><ID>x</ID></Owner></Version>
<DeleteMarker><Key>a</Key><VersionId>v2</VersionId><LastModified>2026-11-21T10:00:00.000Z</LastModified></DeleteMarker>
<Version><Key>a</Key><VersionId>v1</VersionId><LastModified>2026-11-21T10:00:00.000Z</LastModified><ETag>"e-2"</ETag>
<Size>0</Size></Version>
<Version><Key>b%0Ab+c</Key><VersionId>v4</VersionId><LastModified>2026-11-21T10:00:00.123Z</LastModified><ETag>"e4"</ETag>
<Size>9</Size></Version>
<CommonPrefixes><Prefix>z/</Prefix></CommonPrefixes></ListVersionsResult>"""
TEN = 1795255200000


def test_versions_and_markers_of_one_second_keep_the_order_of_the_answer() -> None:
    rows, following = parsed(PAGE)

    assert rows == [
        Version("a", "v3", TEN, 3, "e3"),
        Version("a", "v2", TEN, 0, "", marker=True),
        Version("a", "v1", TEN, 0, "e-2"),
        Version("b\nb c", "v4", TEN + 123, 9, "e4"),
    ]
    assert following == ("b\nb c", "v4")
    assert [row.in_parts for row in rows] == [False, False, True, False]


def test_a_marker_that_is_not_encoded_is_taken_as_it_is() -> None:
    entry = "<Version><Key>a%2Bb%2525</Key><VersionId>v</VersionId><LastModified>2026-11-21T10:00:00Z</LastModified>"
    for marker in ("a+b%25", "a%2Bb%2525"):
        more = f"<IsTruncated>true</IsTruncated><NextKeyMarker>{marker}</NextKeyMarker><EncodingType>url</EncodingType>"
        rows, following = parsed(f"<ListR>{more}{entry}<Size>1</Size><ETag>e</ETag></Version></ListR>".encode())
        assert rows[0].key == "a+b%25"
        assert following == ("a+b%25", "")


@pytest.mark.parametrize("status", [200, 500])
def test_a_page_that_repeats_what_xml_cannot_hold_is_mended(status: int) -> None:
    entry = "<Version><Key>a%01</Key><VersionId>v</VersionId><LastModified>2026-11-21T10:00:00Z</LastModified>"
    begin = "<IsTruncated>true</IsTruncated><EncodingType>url</EncodingType><KeyMarker>&#x01;&#x1f;&#9;</KeyMarker>"
    page = f"<ListVersionsResult>{begin}<NextKeyMarker>a&#x01;</NextKeyMarker>{entry}<ETag/><Size>1</Size></Version>"
    answer, more = {"status_code": status, "body": f"{page}</ListVersionsResult>".encode()}, {}

    read_page(answer, more)

    assert answer["status_code"] == 200
    assert more[ROWS][0].key == "a\x01"
    assert more[FOLLOWING] == ("a\x01", "")


def test_a_failure_stays_one() -> None:
    for body in (b"<Error><Code>InternalError</Code></Error>", b"<Error><Key>&#x01;</Key></Error>", b"&#x01;", b"oops"):
        answer = {"status_code": 500, "body": body}
        mend(answer)
        assert answer == {"status_code": 500, "body": body}


def test_markers_that_are_listed_behind_the_versions_find_their_place() -> None:
    def entry(tag: str, key: str, version: str, second: int, latest: bool) -> str:
        return (
            f"<{tag}><Key>{key}</Key><VersionId>{version}</VersionId><IsLatest>{str(latest).lower()}</IsLatest><Size>1</Size>"
            f"<LastModified>2026-11-21T10:00:0{second}.000Z</LastModified><ETag>e</ETag></{tag}>"
        )

    versions = entry("Version", "a", "a2", 2, False) + entry("Version", "a", "a1", 0, False)
    other = entry("Version", "b", "b1", 0, False)
    markers = entry("DeleteMarker", "a", "a3", 2, True) + entry("DeleteMarker", "b", "b2", 0, True)
    for page in (versions + other + markers, versions + markers[: len(markers) // 2]):
        rows, _ = parsed(f"<ListR>{page}</ListR>".encode())
        assert [row.id for row in rows if row.key == "a"] == ["a3", "a2", "a1"]
    assert [row.id for row in parsed(f"<ListR>{versions + other + markers}</ListR>".encode())[0]][3:] == ["b2", "b1"]


def test_the_last_page_leads_nowhere() -> None:
    assert parsed(b"<ListVersionsResult><IsTruncated>false</IsTruncated></ListVersionsResult>") == ([], None)


def test_a_page_is_read_in_the_place_of_boto3() -> None:
    answer, more = {"status_code": 200, "body": PAGE}, {}
    read_page(answer, more, operation_model=None)
    assert len(more[ROWS]) == 4
    assert more[FOLLOWING] == ("b\nb c", "v4")
    assert b"Version>" not in answer["body"]

    for refusal in ({"status_code": 403, "body": b"<Error/>"}, {"status_code": 200, "body": b"<Error/>"}):
        more = {}
        read_page(refusal, more, operation_model=None)
        assert refusal["body"] == b"<Error/>"
        assert more == {}


@pytest.mark.parametrize("page", [b"<html>", b"", b"<ListR><Version><Key>a</Key></Version></ListR>"])
def test_what_is_no_page_is_refused(page: bytes) -> None:
    with pytest.raises(SourceError, match="is it an S3 service"):
        parsed(page)


def test_disorder_is_refused() -> None:
    rows = [Version(key, "v", 0, 0, "") for key in ("b", "b", "a")]
    with pytest.raises(SourceError, match="bucket x lists 'a' behind 'b'"):
        list(by_key(rows, "bucket x"))


KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)


@given(st.lists(st.dictionaries(KEYS, st.integers()), min_size=1, max_size=4))
def test_listings_side_by_side_have_each_key_once(listings: list[dict[str, int]]) -> None:
    found = list(side_by_side(*(sorted(each.items()) for each in listings)))

    keys = sorted({key for each in listings for key in each})
    assert [key for key, _ in found] == keys
    assert all(values == [each.get(key) for each in listings] for key, values in found)
    assert keys == sorted(keys, key=str.encode), "code points are in the order of their bytes"
