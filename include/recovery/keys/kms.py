"""Keys wrapped by AWS KMS, or by a service that speaks its protocol."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from include.recovery.catalog.model import Recipient
from include.recovery.connections import ConnectionInfo
from include.recovery.errors import KeyDisabled, KeyUnavailable, Unavailable, WrongKey
from include.recovery.keys.envelope import decoded, encoded

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from mypy_boto3_kms.client import KMSClient

_DISABLED = {"DisabledException", "KMSInvalidStateException", "KeyUnavailableException"}
_WRONG = {"InvalidCiphertextException", "IncorrectKeyException", "InvalidKeyUsageException"}


class KmsWrapper:
    """Wraps by one KMS key.

    :param key_id: id, ARN or alias of the key that wraps; unwrapping uses the key that the record names.
    :param endpoint_url: of the KMS; None for AWS.
    :param verify: path of a CA certificate, or False to accept any certificate.
    """

    type: Literal["aws-kms"] = "aws-kms"
    can_unwrap = True

    def __init__(
        self,
        key_id: str,
        *,
        endpoint_url: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        region: str | None = None,
        verify: str | bool | None = None,
    ) -> None:
        self._key_id = key_id
        self._endpoint_url = endpoint_url
        self._credentials = (access_key, secret_key)
        self._region = region or "us-east-1"
        self._verify = verify
        self._made: KMSClient | None = None
        self._making = threading.Lock()

    @classmethod
    def from_connection(cls, connection: ConnectionInfo, key_id: str) -> KmsWrapper:
        """The KMS that a connection describes; the same fields as a store's connection."""
        return cls(
            key_id,
            endpoint_url=connection.extra.get("endpoint_url") or None,
            access_key=connection.login or None,
            secret_key=connection.password or None,
            region=connection.extra.get("region_name") or None,
            verify=connection.extra.get("verify"),
        )

    def wrap(self, key: bytes, context: Mapping[str, str]) -> Recipient:
        """Encrypt under the KMS key, which binds the context."""
        with self._answers(self._key_id, context):
            answer = self._client.encrypt(KeyId=self._key_id, Plaintext=key, EncryptionContext=context)
        return Recipient(type="aws-kms", key_id=answer["KeyId"], ciphertext=encoded(answer["CiphertextBlob"]))

    def unwrap(self, recipient: Recipient, context: Mapping[str, str]) -> bytes:
        """Decrypt under the key that the recipient names, and only with the context it was bound to."""
        with self._answers(recipient.key_id, context):
            answer = self._client.decrypt(
                KeyId=_here(recipient.key_id),
                CiphertextBlob=decoded(recipient.ciphertext),
                EncryptionContext=context,
            )
        return answer["Plaintext"]

    @property
    def _client(self) -> KMSClient:
        with self._making:
            if self._made is None:
                import boto3
                from botocore.config import Config

                # At DEBUG botocore logs whole requests and answers, and these hold keys in the clear.
                logger = logging.getLogger("botocore")
                logger.setLevel(max(logger.getEffectiveLevel(), logging.INFO))
                session = boto3.session.Session(
                    aws_access_key_id=self._credentials[0],
                    aws_secret_access_key=self._credentials[1],
                    region_name=self._region,
                )
                self._made = session.client(
                    "kms",
                    endpoint_url=self._endpoint_url,
                    verify=self._verify,
                    config=Config(
                        retries={"mode": "standard", "total_max_attempts": 4}, connect_timeout=10, read_timeout=20
                    ),
                )
            return self._made

    @contextmanager
    def _answers(self, key_id: str, context: Mapping[str, str]) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            raise self._refusal(error, key_id, context) from error
        except BotoCoreError as error:
            raise Unavailable(f"KMS at {self._address} does not answer: {error}") from error

    def _refusal(self, error: ClientError, key_id: str, context: Mapping[str, str]) -> KeyUnavailable | Unavailable:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        whose = "/".join(context.values())
        if code in _DISABLED:
            return KeyDisabled(
                f"KMS key {key_id} for backup {whose} is disabled or pending deletion; "
                "enable it again in the KMS, or use the escrow key"
            )
        if code in _WRONG:
            return WrongKey(
                f"KMS key {key_id} does not open the key of backup {whose}: "
                "it was wrapped by another key or for another backup"
            )
        if code == "NotFoundException":
            return WrongKey(
                f"KMS at {self._address} has no key {key_id}, which wraps the key of backup {whose}; "
                "check the region and account of its connection, or use the escrow key"
            )
        if status >= 500 or "Throttling" in code:
            return Unavailable(f"KMS at {self._address} is in trouble: {error}")
        return KeyUnavailable(f"KMS at {self._address} refuses key {key_id} for backup {whose}: {error}")

    @property
    def _address(self) -> str:
        return self._endpoint_url or f"AWS {self._region}"


def _here(key_id: str) -> str:
    """A multi-region key has the same id in every region, so ask this region's replica of it."""
    name = key_id.rpartition("/")[2]
    return name if name.startswith("mrk-") else key_id
