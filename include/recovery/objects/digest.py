"""What a digest of an object stands for: every byte of it, and the attributes that a browser is told with it.

An ETag is not used for that: that of a multipart upload depends on the sizes of its parts, that of an encrypted object
on its key, and that of a copy may be another than that of the original. So each version is read once, and its SHA-256
taken; ``<SHA-256 of the content>-<begin of the SHA-256 of the attributes>``. The first half is what ``sha256sum`` says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, BinaryIO

from include.recovery.errors import BackupCorrupt, SourceError

Attributes = Mapping[str, Any]
"""Of an object: its headers and the metadata of its uploader."""

BLOCK = 1024 * 1024
OWN = "lifeboat-"
"""How Lifeboat's own metadata begins; that of the uploader never does."""
_HEADERS = (
    "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType",
    "WebsiteRedirectLocation",
)  # fmt: skip
_UNSET = {"ContentType": ("", "binary/octet-stream")}


class Damaged(BackupCorrupt):
    """What was read is not what was backed up."""


def attributes_of(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Of boto3's answer to GET or HEAD; what the service sets by itself is not among them."""
    found: dict[str, Any] = {
        name: answer[name] for name in _HEADERS if answer.get(name) and answer[name] not in _UNSET.get(name, ())
    }
    if answer.get("ExpiresString"):
        found["Expires"] = answer["ExpiresString"]
    if metadata := {name: value for name, value in answer.get("Metadata", {}).items() if not name.startswith(OWN)}:
        found["Metadata"] = metadata
    return found


def as_request(attributes: Attributes, own: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The same for boto3's request.

    :param own: more metadata, whose names begin with ``OWN``.
    :raises SourceError: when an ``Expires`` is no date, which S3 stores as it comes and boto3 does not send.
    """
    wanted = dict(attributes)
    if "Expires" in wanted:
        try:
            wanted["Expires"] = parsedate_to_datetime(wanted["Expires"])
        except ValueError as error:
            raise SourceError(f"its header Expires is {wanted['Expires']!r}, which is no date; correct it") from error
    wanted["Metadata"] = {**wanted.get("Metadata", {}), **(own or {})}
    return wanted


def digest(content: str, attributes: Attributes) -> str:
    """See above.

    :param content: the SHA-256 of the content in hexadecimal.
    """
    told = json.dumps(attributes, sort_keys=True, separators=(",", ":")).encode()
    return f"{content}-{hashlib.sha256(told).hexdigest()[:16]}"


def measured(stream: BinaryIO, attributes: Attributes) -> str:
    """The digest of an object that is read to its end."""
    content = hashlib.sha256()
    while block := stream.read(BLOCK):
        content.update(block)
    return digest(content.hexdigest(), attributes)
