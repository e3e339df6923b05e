"""Parts as messages in the public format of the AWS Encryption SDK, under the backup's own key.

Algorithm suite: AES-256-GCM with HKDF-SHA-512 and key commitment, no signature (the manifest's seal covers what a
signature would, and signing costs five times the encryption). Frames of 256 KiB: the library's default of 4 KiB is many
times slower, and larger ones are copied more than encrypted.

The wrapping key is given as a raw master key, not as a keyring: the messages are the same, but keyrings come from
another library, which takes a second and 50 MiB in each process.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, cast

from aws_encryption_sdk import CommitmentPolicy, EncryptionSDKClient
from aws_encryption_sdk.exceptions import AWSEncryptionSDKClientError
from aws_encryption_sdk.identifiers import Algorithm, EncryptionKeyType, WrappingAlgorithm
from aws_encryption_sdk.internal.crypto.wrapping_keys import WrappingKey
from aws_encryption_sdk.key_providers.raw import RawMasterKey
from cryptography.exceptions import InvalidTag

FRAME_BYTES = 256 * 1024
KEY_NAMESPACE = "lifeboat"

_SUITE = Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY
_NOT_A_MESSAGE = (AWSEncryptionSDKClientError, InvalidTag, struct.error, UnicodeDecodeError, ValueError)
"""What the library raises for bytes that are no message, or not this one."""


class NotDecryptable(Exception):
    """A message does not decrypt: another key, another place, or damage. ``read`` finds out which."""


def encrypting(source: BinaryIO, key: bytes, context: Mapping[str, str]) -> Iterator[bytes]:
    """Encrypt a stream while it is read, a frame at a time; the message in pieces.

    :param source: must return all bytes asked for until its end.
    :param key: the wrapping key, 32 bytes. Each message has a random key of its own, wrapped by it.
    :param context: authenticated with the message, and readable in it.
    """
    message = _client().stream(
        mode="encrypt",
        source=source,
        key_provider=master_key(key, context),
        encryption_context=dict(context),
        algorithm=_SUITE,
        frame_length=FRAME_BYTES,
    )
    while piece := message.read(FRAME_BYTES):
        yield piece


class Decrypting:
    """Decrypt a stream while it is read. Each frame is authenticated before any of its bytes come out.

    :param context: must be the message's own, to the last entry.
    """

    def __init__(self, source: BinaryIO, key: bytes, context: Mapping[str, str]) -> None:
        self._source, self._context = source, dict(context)
        self._message: Any = _client().stream(mode="decrypt", source=source, key_provider=master_key(key, context))
        self._header_checked = False

    def read(self) -> bytes:
        """The next frame's content; empty at the end.

        :raises NotDecryptable: also when the message ends early.
        """
        # The store's errors pass through: they are no damage.
        try:
            if not self._header_checked:
                self._check_header()
            content = cast(bytes, self._message.read(FRAME_BYTES))
            if not content and self._source.read(1):
                raise NotDecryptable("something follows its end")
        except _NOT_A_MESSAGE as error:
            raise NotDecryptable(str(error) or type(error).__name__) from error
        return content

    def _check_header(self) -> None:
        header = self._message.header
        if header.encryption_context != self._context:
            raise NotDecryptable(f"it is the message of {header.encryption_context}")
        if header.algorithm is not _SUITE:
            raise NotDecryptable(f"it is written with {header.algorithm.name}")
        self._header_checked = True


def _client() -> EncryptionSDKClient:
    return EncryptionSDKClient(
        commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT, max_encrypted_data_keys=1
    )


def master_key(key: bytes, context: Mapping[str, str]) -> RawMasterKey:
    """The wrapping key as the library wants it; its name in the message is the backup's."""
    return RawMasterKey(
        provider_id=KEY_NAMESPACE,
        key_id=context["backup"].encode(),
        wrapping_key=WrappingKey(
            wrapping_algorithm=WrappingAlgorithm.AES_256_GCM_IV12_TAG16_NO_PADDING,
            wrapping_key=key,
            wrapping_key_type=EncryptionKeyType.SYMMETRIC,
        ),
    )
