"""A backup's own key: made here, never stored, only its wrapped forms are."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from include.recovery.catalog.model import KeyRecord, Recipient, RecipientType
from include.recovery.errors import KeyUnavailable, Unavailable, WrongKey

KEY_BYTES = 32


class Wrapper(Protocol):
    """One way to wrap a backup's key."""

    @property
    def type(self) -> RecipientType:
        """Which recipients are ours."""
        ...

    @property
    def can_unwrap(self) -> bool:
        """Whether this wrapper holds what unwrapping needs (an escrow's private half is offline)."""
        ...

    def wrap(self, key: bytes, context: Mapping[str, str]) -> Recipient:
        """Wrap a key for this recipient."""
        ...

    def unwrap(self, recipient: Recipient, context: Mapping[str, str]) -> bytes:
        """The key again.

        :raises KeyUnavailable: ``WrongKey`` or ``KeyDisabled``, or the KMS refuses for another reason.
        """
        ...


class Keyring:
    """All the ways to wrap and unwrap that this machine has.

    :param wrappers: tried in this order when unwrapping.
    """

    def __init__(self, wrappers: Sequence[Wrapper], *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._wrappers = tuple(wrappers)
        self._now = now

    def new_key(self, context: Mapping[str, str]) -> tuple[bytes, KeyRecord]:
        """A fresh key, and the record that lets every recipient unwrap it.

        :param context: the backup's identity. A KMS binds it to the wrapped key and logs it.
        """
        key = secrets.token_bytes(KEY_BYTES)
        return key, self.wrap(key, context)

    def wrap(self, key: bytes, context: Mapping[str, str]) -> KeyRecord:
        """Wrap a key that exists already: for a rotation, whose record is appended to the backup's others."""
        return KeyRecord(
            created_at=self._now(),
            context=dict(context),
            recipients=tuple(wrapper.wrap(key, context) for wrapper in self._wrappers),
            check=key_check(key),
        )

    def unwrap(self, record: KeyRecord) -> bytes:
        """The backup's key, by the first recipient that works.

        :raises WrongKey: when what came out is not the key that went in, or no recipient fits.
        :raises KeyDisabled: when the KMS key is disabled and nothing else works.
        """
        failures: list[KeyUnavailable | Unavailable] = []
        for wrapper in self._wrappers:
            for recipient in record.recipients:
                if recipient.type != wrapper.type or not wrapper.can_unwrap:
                    continue
                try:
                    key = wrapper.unwrap(recipient, record.context)
                except (KeyUnavailable, Unavailable) as error:
                    failures.append(error)
                    continue
                if key_check(key) == record.check:
                    return key
                failures.append(
                    WrongKey(
                        f"{recipient.type} key {recipient.key_id} opens something else than {_backup(record)}'s key"
                    )
                )
        if failures:
            raise failures[0]
        theirs = ", ".join(f"{recipient.type} key {recipient.key_id}" for recipient in record.recipients)
        raise WrongKey(
            f"the key of {_backup(record)} is wrapped for {theirs}, and none of these is at hand; "
            "use the policy's KMS connection, or the escrow's private key"
        )


def key_check(key: bytes) -> str:
    """Tells whether a key is the right one without telling anything about it."""
    return derived(key, "lifeboat key check")[:16].hex()


def seal(key: bytes, canonical: bytes) -> str:
    """An HMAC-SHA-512 over a manifest's canonical JSON, under a key derived from the backup's own."""
    return hmac.new(derived(key, "lifeboat manifest seal"), canonical, hashlib.sha512).hexdigest()


def derived(key: bytes, purpose: str) -> bytes:
    """64 bytes for one purpose: HKDF-SHA-512 (RFC 5869) of a backup's key, without salt, first block."""
    pseudorandom = hmac.new(bytes(64), key, hashlib.sha512).digest()
    return hmac.new(pseudorandom, purpose.encode() + b"\x01", hashlib.sha512).digest()


def encoded(data: bytes) -> str:
    """Base64, as records keep bytes."""
    return base64.b64encode(data).decode("ascii")


def decoded(text: str) -> bytes:
    """The bytes of a record's base64."""
    return base64.b64decode(text, validate=True)


def _backup(record: KeyRecord) -> str:
    return "backup " + "/".join(record.context.values())
