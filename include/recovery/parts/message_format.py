"""The message format of the AWS Encryption SDK, version 2, as far as parts need it: bytes in, bytes out.

https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/message-format.html

One algorithm suite, 0x0478: AES-256-GCM, keys derived by HKDF-SHA-512, key commitment, no signature. One recipient: a
raw AES wrapping key. The library itself does the same in 250 modules, which take more than a second to import and
50 MiB; tests open our messages with it, and its messages with ours.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

SUITE = 0x0478
KEY_BYTES, IV_BYTES, TAG_BYTES, ID_BYTES = 32, 12, 16, 32
HEADER_IV = bytes(IV_BYTES)
FINAL = 0xFFFFFFFF
"""In place of a sequence number: the frame is the last one."""

_VERSION, _FRAMED = 2, 2


class Malformed(Exception):
    """Bytes that are no message of this format."""


@dataclass(frozen=True)
class Recipient:
    """A data key, wrapped by a raw AES key.

    :param namespace: of the wrapping key.
    :param name: of the wrapping key within its namespace.
    """

    namespace: str
    name: str
    iv: bytes
    wrapped: bytes

    @property
    def information(self) -> bytes:
        """The recipient's own fields: name, bits of the tag, bytes of the IV, IV."""
        return self.name.encode() + struct.pack(">II", TAG_BYTES * 8, IV_BYTES) + self.iv


@dataclass(frozen=True)
class Header:
    """What precedes the frames.

    :param message_id: random; the salt of the key derivation.
    :param commitment: proves which data key the message was made with.
    """

    message_id: bytes
    context: Mapping[str, str]
    recipients: tuple[Recipient, ...]
    frame_bytes: int
    commitment: bytes

    def packed(self) -> bytes:
        """The bytes that the header's tag authenticates."""
        pairs = packed_context(self.context)
        recipients = b"".join(
            _sized(recipient.namespace.encode()) + _sized(recipient.information) + _sized(recipient.wrapped)
            for recipient in self.recipients
        )
        return (
            struct.pack(">BH", _VERSION, SUITE)
            + self.message_id
            + _sized(pairs)
            + struct.pack(">H", len(self.recipients))
            + recipients
            + struct.pack(">BI", _FRAMED, self.frame_bytes)
            + self.commitment
        )


def packed_context(context: Mapping[str, str]) -> bytes:
    """An encryption context, sorted by the bytes of its keys; it is also what a wrapped data key is bound to."""
    if not context:
        return b""
    pairs = sorted((key.encode(), value.encode()) for key, value in context.items())
    return struct.pack(">H", len(pairs)) + b"".join(_sized(key) + _sized(value) for key, value in pairs)


def data_key_info() -> bytes:
    """What HKDF derives the key of header and frames for."""
    return struct.pack(">H", SUITE) + b"DERIVEKEY"


def commitment_info() -> bytes:
    """What HKDF derives the commitment for."""
    return b"COMMITKEY"


def frame_iv(number: int) -> bytes:
    """The IV of a frame: its number. Each message has a key of its own."""
    return number.to_bytes(IV_BYTES, "big")


def frame_aad(message_id: bytes, number: int, size: int, *, final: bool) -> bytes:
    """What a frame's tag authenticates beside its content: its message, place and size, and whether it is the last."""
    kind = b"AWSKMSEncryptionClient Final Frame" if final else b"AWSKMSEncryptionClient Frame"
    return message_id + kind + struct.pack(">IQ", number, size)


def frame_prefix(number: int, size: int, *, final: bool) -> bytes:
    """What precedes a frame's content."""
    iv = frame_iv(number)
    if final:
        return struct.pack(">II", FINAL, number) + iv + struct.pack(">I", size)
    return struct.pack(">I", number) + iv


class Source(Protocol):
    """Where a message comes from."""

    def read(self, size: int, /) -> bytes:
        """So many bytes; fewer only at the end."""
        ...


class Fields:
    """Takes fields out of a stream, in order, and keeps what was taken."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.taken = bytearray()

    def take(self, size: int) -> bytes:
        """The next so many bytes.

        :raises Malformed: when there are fewer.
        """
        data = self._source.read(size)
        if len(data) < size:
            raise Malformed("it ends in the middle")
        self.taken += data
        return data

    def number(self, size: int) -> int:
        """The next so many bytes as a number."""
        return int.from_bytes(self.take(size), "big")

    def sized(self) -> bytes:
        """The next field that begins with its length in two bytes."""
        return self.take(self.number(2))


def read_header(source: Source) -> tuple[Header, bytes]:
    """A header, and the very bytes that its tag authenticates. The tag follows in the stream.

    :raises Malformed: when it is none, or of another algorithm.
    """
    fields = Fields(source)
    version, suite = fields.number(1), fields.number(2)
    if (version, suite) != (_VERSION, SUITE):
        raise Malformed(f"it is of version {version} and suite {suite:#06x}; known is {_VERSION} with {SUITE:#06x}")
    message_id = fields.take(ID_BYTES)
    context = _context(fields.sized())
    recipients = tuple(_recipient(fields) for _ in range(fields.number(2)))
    if fields.number(1) != _FRAMED:
        raise Malformed("it is not framed")
    frame_bytes = fields.number(4)
    header = Header(message_id, context, recipients, frame_bytes, fields.take(KEY_BYTES))
    return header, bytes(fields.taken)


def _context(packed: bytes) -> dict[str, str]:
    if not packed:
        return {}
    fields = Fields(io.BytesIO(packed))
    try:
        return {fields.sized().decode(): fields.sized().decode() for _ in range(fields.number(2))}
    except UnicodeDecodeError:
        raise Malformed("its context is not text") from None


def _recipient(fields: Fields) -> Recipient:
    namespace, information, wrapped = fields.sized(), fields.sized(), fields.sized()
    tail = struct.pack(">II", TAG_BYTES * 8, IV_BYTES)
    name, iv = information[: -len(tail) - IV_BYTES], information[-IV_BYTES:]
    if information != name + tail + iv:
        raise Malformed("its data key is not wrapped by a raw AES key")
    try:
        return Recipient(namespace.decode(), name.decode(), iv, wrapped)
    except UnicodeDecodeError:
        raise Malformed("the name of its wrapping key is not text") from None


def _sized(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data
