"""Versions of objects, as a bucket lists them: one page at a time, in the order of the answer.

boto3 gives the versions and the delete markers of a page apart, and then nobody can tell which of two of one second
came first. The answer itself has them in one order, newest first within a key. So the page is read here. (A service
that lists the markers behind the versions leaves nothing but their times to go by.)
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import unquote_plus

from include.recovery.errors import SourceError

ROWS, FOLLOWING = "Rows", "Following"
"""What the answer of ``list_object_versions`` holds instead of boto3's fields."""

_ILLEGAL = re.compile(rb"&#(x0*[0-8bcef]|x0*1[0-9a-f]|0*[0-8]|0*1[124-9]|0*2\d|0*3[01]);", re.IGNORECASE)
_UNREADABLE = "\ufffd"
_EMPTY = b'<?xml version="1.0"?><ListVersionsResult/>'


class Version(NamedTuple):
    """One version of an object, or a delete marker.

    :param modified: milliseconds since 1970, as the service says: AWS gives whole seconds, and for a multipart upload
        the time when it began.
    :param etag: without quotes. No digest of the content where the upload was in parts (then it has a hyphen).
    """

    key: str
    id: str
    modified: int
    size: int
    etag: str
    marker: bool = False

    @property
    def in_parts(self) -> bool:
        """Whether it came as a multipart upload."""
        return "-" in self.etag


class Keyed(Protocol):
    """Whatever comes sorted by key."""

    @property
    def key(self) -> str: ...


One = TypeVar("One", bound=Keyed)


def read_page(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    """Handler of botocore's event ``before-parse.s3.ListObjectVersions``: reads the page in boto3's stead.

    What is no page is left to boto3.
    """
    mend(response_dict)
    if response_dict["status_code"] != 200:
        return
    try:
        rows, following = parsed(response_dict["body"])
    except SourceError:
        return
    response_dict["body"] = _EMPTY
    customized_response_dict[ROWS], customized_response_dict[FOLLOWING] = rows, following


def mend(response_dict: dict[str, Any], **_: Any) -> None:
    """Handler of ``before-parse``: makes a listing readable in which a service wrote what XML cannot hold.

    radosgw repeats the key where a page begins, with control characters and all, even where it was asked to encode
    keys. boto3 cannot read that, and takes it for a failure (500) of the service.
    """
    if response_dict["status_code"] not in (200, 500) or not _ILLEGAL.search(response_dict["body"]):
        return
    body = _ILLEGAL.sub(_UNREADABLE.encode(), response_dict["body"])
    try:
        _listing(body)
    except (ET.ParseError, ValueError):
        return
    response_dict["body"], response_dict["status_code"] = body, 200


def parsed(page: bytes) -> tuple[list[Version], tuple[str, str] | None]:
    """The versions of a page, in its order, and where the next page begins (key and version); None on the last.

    :raises SourceError: when it is no such page.
    """
    try:
        root = _listing(page)
        rows: list[Version] = []
        latest: list[bool] = []
        about: dict[str, str] = {}
        for element in root:
            tag = element.tag.rpartition("}")[2]
            if tag in ("Version", "DeleteMarker"):
                row, is_latest = _version(element, tag == "DeleteMarker")
                rows.append(row)
                latest.append(is_latest)
            elif not len(element):
                about[tag] = element.text or ""
        if about.get("EncodingType") == "url":
            rows = [row._replace(key=unquote_plus(row.key)) for row in rows]
            marker = about.get("NextKeyMarker", "")
            # Not every service encodes this one too.
            plain = rows and (marker == rows[-1].key or _UNREADABLE in marker)
            about["NextKeyMarker"] = rows[-1].key if plain else unquote_plus(marker)
        if not _in_order(rows, latest):
            order = sorted(range(len(rows)), key=lambda n: (rows[n].key, not latest[n], -rows[n].modified))
            rows = [rows[number] for number in order]
    except (ET.ParseError, KeyError, ValueError) as error:
        raise SourceError(f"a page of the bucket's versions cannot be read ({error}); is it an S3 service?") from error
    if about.get("IsTruncated") != "true":
        return rows, None
    return rows, (about.get("NextKeyMarker", ""), about.get("NextVersionIdMarker", ""))


def by_key(rows: Iterable[One], where: str) -> Iterator[tuple[str, list[One]]]:
    """Rows of one key together. All rows of one key are held at once.

    :param where: for messages.
    :raises SourceError: when keys do not come in the order of their bytes.
    """
    last: str | None = None
    # By code points, which is the order of the bytes of UTF-8 too.
    for key, group in groupby(rows, key=attrgetter("key")):
        if last is not None and key <= last:
            raise SourceError(
                f"{where} lists {key!r} behind {last!r}; Lifeboat needs a service that lists keys in the order of "
                "their bytes, as S3's general purpose buckets do"
            )
        last = key
        yield key, list(group)


def side_by_side(*listings: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, list[Any]]]:
    """Several sorted listings as one: each key, and what each listing has of it; None where it has nothing."""
    each = [iter(listing) for listing in listings]
    heads = [next(one, None) for one in each]
    while keys := [head[0] for head in heads if head is not None]:
        key = min(keys)
        found: list[Any] = [None] * len(heads)
        for number, head in enumerate(heads):
            if head is not None and head[0] == key:
                found[number] = head[1]
                heads[number] = next(each[number], None)
        yield key, found


def _listing(page: bytes) -> ET.Element:
    # The service's own answer, over a connection that is trusted; boto3 reads it by the same means.
    root = ET.fromstring(page)  # noqa: S314
    if not root.tag.rpartition("}")[2].startswith("List"):
        raise ValueError(f"it is {root.tag!r}")
    return root


def _in_order(rows: list[Version], latest: list[bool]) -> bool:
    """Whether keys ascend, and of each what is current comes first."""
    return all(
        before.key < row.key or (before.key == row.key and not is_latest)
        for before, row, is_latest in zip(rows, rows[1:], latest[1:], strict=False)
    )


def _version(element: ET.Element, marker: bool) -> tuple[Version, bool]:
    """A version, and whether it is what plain reads see."""
    found = {child.tag.rpartition("}")[2]: child.text or "" for child in element}
    modified = round(datetime.fromisoformat(found["LastModified"]).timestamp() * 1000)
    latest = found.get("IsLatest") == "true"
    if marker:
        return Version(found["Key"], found["VersionId"], modified, 0, "", marker=True), latest
    return Version(found["Key"], found["VersionId"], modified, int(found["Size"]), found["ETag"].strip('"')), latest
