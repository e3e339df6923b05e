"""Keys wrapped under an RSA-4096 public key whose private half is kept offline: recovery without any KMS."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from include.recovery.catalog.model import Recipient
from include.recovery.errors import KeyUnavailable, WrongKey
from include.recovery.keys.envelope import decoded, encoded

_MINIMUM_BITS = 4096


class EscrowWrapper:
    """RSA-OAEP with SHA-512 (also for MGF1), so that ``openssl pkeyutl`` can unwrap it.

    :param public_key_pem: what every backup wraps under.
    :param private_key_pem: only where a disaster has taken the KMS; brings the public key along.
    :param password: of the private key's PEM, when it has one.
    """

    type: Literal["rsa-oaep-sha512"] = "rsa-oaep-sha512"

    def __init__(
        self,
        public_key_pem: str | None = None,
        *,
        private_key_pem: str | None = None,
        password: str | None = None,
    ) -> None:
        self._private = None if private_key_pem is None else _private_key(private_key_pem, password)
        if self._private is not None:
            self._public = self._private.public_key()
        elif public_key_pem is not None:
            self._public = _public_key(public_key_pem)
        else:
            raise KeyUnavailable("an escrow needs its public or its private key; give the PEM of one")
        if self._public.key_size < _MINIMUM_BITS:
            raise KeyUnavailable(f"the escrow key has {self._public.key_size} bits; use RSA of {_MINIMUM_BITS} or more")

    @property
    def can_unwrap(self) -> bool:
        """Whether the private half is here."""
        return self._private is not None

    @property
    def key_id(self) -> str:
        """SHA-256 of the public key's DER form, as ``openssl pkey -pubin -outform DER | sha256sum`` prints it."""
        der = self._public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(der).hexdigest()

    def wrap(self, key: bytes, context: Mapping[str, str]) -> Recipient:
        """Encrypt under the public key."""
        return Recipient(type=self.type, key_id=self.key_id, ciphertext=encoded(self._public.encrypt(key, _OAEP)))

    def unwrap(self, recipient: Recipient, context: Mapping[str, str]) -> bytes:
        """Decrypt with the private key."""
        whose = "/".join(context.values())
        if self._private is None:
            raise KeyUnavailable(f"the key of backup {whose} needs the escrow's private key; give its PEM")
        try:
            return self._private.decrypt(decoded(recipient.ciphertext), _OAEP)
        except ValueError as error:
            raise WrongKey(
                f"escrow key {self.key_id[:16]}... does not open the key of backup {whose}, "
                f"which was wrapped for {recipient.key_id[:16]}...; give that private key"
            ) from error


_OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA512()), algorithm=hashes.SHA512(), label=None)


def _public_key(pem: str) -> RSAPublicKey:
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except ValueError as error:
        raise KeyUnavailable("the escrow's public key is not PEM; make one with openssl pkey -pubout") from error
    if not isinstance(key, RSAPublicKey):
        raise KeyUnavailable(f"the escrow's public key must be RSA; this one is {type(key).__name__}")
    return key


def _private_key(pem: str, password: str | None) -> RSAPrivateKey:
    try:
        key = serialization.load_pem_private_key(pem.encode(), None if password is None else password.encode())
    except (ValueError, TypeError) as error:
        # Not chained: the cause may quote what it was given.
        raise KeyUnavailable(
            f"the escrow's private key cannot be read ({type(error).__name__}); check its password"
        ) from None
    if not isinstance(key, RSAPrivateKey):
        raise KeyUnavailable(f"the escrow's private key must be RSA; this one is {type(key).__name__}")
    return key
