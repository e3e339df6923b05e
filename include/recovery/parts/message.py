"""Parts as messages in the public format of the AWS Encryption SDK, under the backup's own key.

Algorithm suite: AES-256-GCM with HKDF-SHA-512 and key commitment, no signature (the manifest's seal covers what a
signature would, and signing costs five times the encryption). Frames of 1 MiB: the format's default of 4 KiB is 36
times slower.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from include.recovery.parts.message_format import (
    FINAL,
    HEADER_IV,
    ID_BYTES,
    IV_BYTES,
    KEY_BYTES,
    TAG_BYTES,
    Fields,
    Header,
    Malformed,
    Recipient,
    commitment_info,
    data_key_info,
    frame_aad,
    frame_iv,
    frame_prefix,
    packed_context,
    read_header,
)

FRAME_BYTES = 1024 * 1024
KEY_NAMESPACE = "lifeboat"
_MOST_FRAME_BYTES = 64 * 1024 * 1024
"""A header that asks for larger frames is not ours, and would take memory without bound."""


class NotDecryptable(Exception):
    """A message does not decrypt: another key, another place, or damage. ``read`` finds out which."""


def encrypting(source: BinaryIO, key: bytes, context: Mapping[str, str]) -> Iterator[bytes]:
    """Encrypt a stream while it is read, a frame at a time; the message in pieces.

    :param source: must return all bytes asked for until its end.
    :param key: the wrapping key, 32 bytes. Each message has a random key of its own, wrapped by it.
    :param context: authenticated with the message, and readable in it.
    """
    data_key, message_id = os.urandom(KEY_BYTES), os.urandom(ID_BYTES)
    iv = os.urandom(IV_BYTES)
    recipient = Recipient(
        KEY_NAMESPACE, context["backup"], iv, AESGCM(key).encrypt(iv, data_key, packed_context(context))
    )
    commitment = _derived(data_key, message_id, commitment_info())
    header = Header(message_id, context, (recipient,), FRAME_BYTES, commitment).packed()
    cipher = AESGCM(_derived(data_key, message_id, data_key_info()))
    yield header + cipher.encrypt(HEADER_IV, b"", header)
    number, content = 1, source.read(FRAME_BYTES)
    while True:
        ahead = source.read(FRAME_BYTES) if len(content) == FRAME_BYTES else b""
        final = not ahead
        yield frame_prefix(number, len(content), final=final)
        yield cipher.encrypt(frame_iv(number), content, frame_aad(message_id, number, len(content), final=final))
        if final:
            return
        number, content = number + 1, ahead


class Decrypting:
    """Decrypt a stream while it is read. Each frame is authenticated before any of its bytes come out.

    :param context: must be the message's own, to the last entry.
    """

    def __init__(self, source: BinaryIO, key: bytes, context: Mapping[str, str]) -> None:
        self._source, self._key, self._context = source, key, dict(context)
        self._header: Header | None = None
        self._cipher: AESGCM | None = None
        self._next = 1
        self._at_end = False

    def read(self) -> bytes:
        """The next frame's content; empty at the end.

        :raises NotDecryptable: also when the message ends early.
        """
        # The store's errors pass through: they are no damage.
        if self._at_end:
            return b""
        try:
            if self._header is None or self._cipher is None:
                self._header, self._cipher = self._begin()
            return self._frame(self._header, self._cipher)
        except (Malformed, InvalidTag) as error:
            raise NotDecryptable(str(error) or "authentication failed") from error

    def _begin(self) -> tuple[Header, AESGCM]:
        header, authenticated = read_header(self._source)
        tag = Fields(self._source).take(TAG_BYTES)
        if dict(header.context) != self._context:
            raise NotDecryptable(f"it is the message of {dict(header.context)}")
        if len(header.recipients) != 1 or header.recipients[0].namespace != KEY_NAMESPACE:
            raise Malformed("it is for another recipient")
        if not 0 < header.frame_bytes <= _MOST_FRAME_BYTES:
            raise Malformed(f"its frames are said to have {header.frame_bytes} bytes")
        recipient = header.recipients[0]
        data_key = AESGCM(self._key).decrypt(recipient.iv, recipient.wrapped, packed_context(self._context))
        commitment = _derived(data_key, header.message_id, commitment_info())
        if not hmac.compare_digest(commitment, header.commitment):
            raise Malformed("it is not committed to its key")
        cipher = AESGCM(_derived(data_key, header.message_id, data_key_info()))
        cipher.decrypt(HEADER_IV, tag, authenticated)
        return header, cipher

    def _frame(self, header: Header, cipher: AESGCM) -> bytes:
        fields = Fields(self._source)
        number, size = fields.number(4), header.frame_bytes
        final = number == FINAL
        if final:
            number = fields.number(4)
        iv = fields.take(IV_BYTES)
        if final:
            size = fields.number(4)
        if number != self._next or iv != frame_iv(number) or size > header.frame_bytes:
            raise Malformed(f"frame {self._next} is out of place")
        sealed = self._source.read(size + TAG_BYTES)
        content = cipher.decrypt(iv, sealed, frame_aad(header.message_id, number, size, final=final))
        if len(content) != size:
            raise Malformed("it ends in the middle")
        self._next += 1
        if final:
            self._at_end = True
            if self._source.read(1):
                raise Malformed("something follows its end")
        return content


def _derived(data_key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA512(), length=KEY_BYTES, salt=salt, info=info).derive(data_key)
