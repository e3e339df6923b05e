"""Documents as items: their names and digests; and streams of them, one BSON document behind the other."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from typing import Any, BinaryIO

from bson import ObjectId
from bson.codec_options import CodecOptions
from bson.errors import BSONError
from bson.json_util import RELAXED_JSON_OPTIONS, dumps
from bson.raw_bson import RawBSONDocument

from include.recovery.content.model import Item
from include.recovery.errors import BackupCorrupt, SourceError

MAX_DOCUMENT = 64 * 1024 * 1024
"""Bytes; MongoDB itself allows 16 MiB and a little, so a longer one is none."""
LONGEST_NAME = 500
_RAW: CodecOptions[RawBSONDocument] = CodecOptions(
    document_class=RawBSONDocument, unicode_decode_error_handler="surrogateescape"
)


def raw(document: bytes) -> RawBSONDocument:
    """A document as the driver writes it back: byte for byte."""
    return RawBSONDocument(document, _RAW)


def identifier(document: bytes, namespace: str) -> Any:
    """Its ``_id``.

    :raises SourceError: when it has none, or is no BSON.
    """
    try:
        return raw(document)["_id"]
    except KeyError:
        raise SourceError(
            f"a document of {namespace} has no _id, so it cannot be told from others; exclude the collection by name"
        ) from None
    except BSONError as error:
        raise SourceError(f"a document of {namespace} cannot be read: {error}; repair the collection") from error


def item_of(document: bytes, namespace: str) -> Item:
    """A document, by the name ``database.collection/<_id>``; its digest is over its bytes."""
    words = in_words(identifier(document, namespace))
    if len(words) > LONGEST_NAME:
        words = words[:LONGEST_NAME] + "..." + hashlib.sha256(words.encode("utf-8", "surrogateescape")).hexdigest()
    return Item(f"{namespace}/{words}", digest(document), len(document))


def in_words(identifier: Any) -> str:
    """An ``_id`` as people type it: ``42``, ``"a text"``, ``ObjectId(...)``, all others as extended JSON."""
    if isinstance(identifier, ObjectId):
        return f"ObjectId({identifier})"
    return dumps(identifier, json_options=RELAXED_JSON_OPTIONS, ensure_ascii=False)


def digest(content: bytes) -> str:
    """128 bits of SHA-256: enough against any accident, and half the size of an inventory of millions."""
    return hashlib.sha256(content).hexdigest()[:32]


class Sum:
    """Count, bytes and an order-independent digest over documents."""

    __slots__ = ("count", "size", "total")

    def __init__(self) -> None:
        self.count = self.size = self.total = 0

    def add(self, item: Item) -> None:
        """Take a document in."""
        self.count += 1
        self.size += item.size
        self.total = (self.total + int(item.digest, 16)) % (1 << 128)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sum) and (self.count, self.size, self.total) == (other.count, other.size, other.total)

    __hash__ = None  # type: ignore[assignment]


def split(batch: bytes, namespace: str) -> Iterator[bytes]:
    """The documents of a batch.

    :raises SourceError: when the batch is no sequence of whole documents.
    """
    start = 0
    while start < len(batch):
        size = int.from_bytes(batch[start : start + 4], "little", signed=True)
        if size < 5 or start + size > len(batch):
            raise SourceError(f"{namespace}: the server sent what is no BSON document; look into its log")
        yield batch[start : start + size]
        start += size


def read_documents(stream: BinaryIO, where: str) -> Iterator[bytes]:
    """The documents of a part, to its end.

    :param where: for messages.
    :raises BackupCorrupt: when it ends inside of one, or holds something else.
    """
    reader = io.BufferedReader(stream) if isinstance(stream, io.RawIOBase) else stream
    while head := _exactly(reader, 4):
        size = int.from_bytes(head, "little", signed=True)
        if len(head) < 4 or not 5 <= size <= MAX_DOCUMENT:
            raise BackupCorrupt(f"{where}: what is stored is no sequence of BSON documents; use another backup")
        body = _exactly(reader, size - 4)
        if len(body) < size - 4:
            raise BackupCorrupt(f"{where}: it ends in the middle of a document; use another backup")
        yield head + body


def _exactly(stream: BinaryIO, size: int) -> bytes:
    """So many bytes, fewer only at the end."""
    chunks, left = [], size
    while left and (chunk := stream.read(left)):
        chunks.append(chunk)
        left -= len(chunk)
    return b"".join(chunks)
