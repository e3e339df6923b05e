"""Parts as messages in the public format of the AWS Encryption SDK, under the backup's own key.

Algorithm suite: AES-256-GCM with HKDF-SHA-512 and key commitment, no signature (the manifest's seal covers what a
signature would, and signing costs five times the encryption). Frames of 1 MiB: the library's default of 4 KiB is 36
times slower, and so is, five times, reading more than a frame at once.

The library is imported at first use: it takes a second and 50 MiB.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, cast

if TYPE_CHECKING:
    from aws_encryption_sdk import EncryptionSDKClient

FRAME_BYTES = 1024 * 1024
KEY_NAMESPACE = "lifeboat"


class NotDecryptable(Exception):
    """A message does not decrypt: another key, another place, or damage. ``read`` finds out which."""


def encrypting(source: BinaryIO, key: bytes, context: Mapping[str, str]) -> BinaryIO:
    """Encrypt a stream while it is read; read at most ``FRAME_BYTES`` at once.

    :param source: must return all bytes asked for until its end.
    :param context: authenticated with the message, and readable in it.
    """
    from aws_encryption_sdk.identifiers import Algorithm

    stream = _client().stream(
        mode="encrypt",
        source=source,
        keyring=_keyring(key, context),
        encryption_context=dict(context),
        algorithm=Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
        frame_length=FRAME_BYTES,
    )
    return cast(BinaryIO, stream)


class Decrypting:
    """Decrypt a stream while it is read. Each frame is authenticated before any of its bytes come out.

    :param context: must be the message's own, to the last entry.
    """

    def __init__(self, source: BinaryIO, key: bytes, context: Mapping[str, str]) -> None:
        self._context = dict(context)
        self._stream: Any = _client().stream(mode="decrypt", source=source, keyring=_keyring(key, context))
        self._header_checked = False

    def read(self) -> bytes:
        """The next frame's content; empty at the end.

        :raises NotDecryptable: also when the message ends early.
        """
        # The store's errors pass through: they are no damage.
        from aws_cryptographic_material_providers.mpl.errors import AwsCryptographicMaterialProvidersException
        from aws_encryption_sdk.exceptions import AWSEncryptionSDKClientError
        from cryptography.exceptions import InvalidTag

        try:
            if not self._header_checked:
                found = self._stream.header.encryption_context
                if found != self._context:
                    raise NotDecryptable(f"it is the message of {found}")
                self._header_checked = True
            return cast(bytes, self._stream.read(FRAME_BYTES))
        except (AWSEncryptionSDKClientError, AwsCryptographicMaterialProvidersException, InvalidTag) as error:
            raise NotDecryptable(str(error) or type(error).__name__) from error


def _client() -> EncryptionSDKClient:
    from aws_encryption_sdk import CommitmentPolicy, EncryptionSDKClient

    return EncryptionSDKClient(
        commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT, max_encrypted_data_keys=1
    )


def _keyring(key: bytes, context: Mapping[str, str]) -> Any:
    from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
    from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
    from aws_cryptographic_material_providers.mpl.models import AesWrappingAlg, CreateRawAesKeyringInput

    return AwsCryptographicMaterialProviders(config=MaterialProvidersConfig()).create_raw_aes_keyring(
        CreateRawAesKeyringInput(
            key_namespace=KEY_NAMESPACE,
            key_name=context["backup"],
            wrapping_key=key,
            wrapping_alg=AesWrappingAlg.ALG_AES256_GCM_IV12_TAG16,
        )
    )
