"""Ed25519 signatures over canonical JSON, each bound to what it is a signature of."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from include.recovery.errors import LifeboatError
from include.recovery.evidence.records import Record

_HOW_TO_MAKE = "make one with: openssl genpkey -algorithm ed25519"


class Signature(Record):
    """A detached signature.

    :param key: SHA-256 of the raw public key, in hex: which key made it.
    :param value: base64.
    """

    algorithm: Literal["Ed25519"] = "Ed25519"
    key: str
    value: str


def _message(purpose: str, content: bytes) -> bytes:
    """What is signed: the purpose is part of it, so that a signed report can never pass for an approval."""
    return b"lifeboat " + purpose.encode() + b" v1\n" + content


def _fingerprint(public: Ed25519PublicKey) -> str:
    return hashlib.sha256(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()


@dataclass(frozen=True)
class Verifier:
    """The public keys that are trusted, by fingerprint; older ones stay in it after a change of keys."""

    keys: dict[str, Ed25519PublicKey]

    @classmethod
    def from_pems(cls, pems: Iterable[str]) -> Verifier:
        """From public keys in PEM.

        :raises LifeboatError: when one is not an Ed25519 public key.
        """
        found: dict[str, Ed25519PublicKey] = {}
        for number, pem in enumerate(pems, start=1):
            try:
                key = load_pem_public_key(_lines(pem))
            except (ValueError, UnsupportedAlgorithm):
                raise LifeboatError(f"public signing key {number} is not a public key in PEM") from None
            if not isinstance(key, Ed25519PublicKey):
                raise LifeboatError(f"public signing key {number} is not an Ed25519 key")
            found[_fingerprint(key)] = key
        return cls(found)

    def holds(self, purpose: str, content: bytes, signature: Signature) -> bool:
        """Whether a trusted key signed exactly this content for exactly this purpose."""
        key = self.keys.get(signature.key)
        if key is None:
            return False
        try:
            key.verify(base64.b64decode(signature.value, validate=True), _message(purpose, content))
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True


@dataclass(frozen=True)
class Signer:
    """The private key that signs approvals and evidence. It never shows in ``repr``."""

    _key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def from_pem(cls, pem: str) -> Signer:
        r"""From a private key in PEM, as a connection's password holds it (line ends may be written ``\n``).

        :raises LifeboatError: when it is not an unencrypted Ed25519 private key; the key is not quoted.
        """
        try:
            key = load_pem_private_key(_lines(pem), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise LifeboatError(f"the signing key is not an unencrypted private key in PEM; {_HOW_TO_MAKE}") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise LifeboatError(f"the signing key is not an Ed25519 key; {_HOW_TO_MAKE}")
        return cls(key)

    @classmethod
    def generate(cls) -> Signer:
        """A new key."""
        return cls(Ed25519PrivateKey.generate())

    def sign(self, purpose: str, content: bytes) -> Signature:
        """Sign content for one purpose, such as ``approval`` or ``evidence``."""
        value = self._key.sign(_message(purpose, content))
        return Signature(key=_fingerprint(self._key.public_key()), value=base64.b64encode(value).decode())

    @property
    def verifier(self) -> Verifier:
        """Trusts this key alone."""
        public = self._key.public_key()
        return Verifier({_fingerprint(public): public})

    @property
    def public_pem(self) -> str:
        """The public half, for those who verify offline."""
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def private_pem(self) -> str:
        """The private half, for the connection that will hold it."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _lines(pem: str) -> bytes:
    return pem.replace("\\n", "\n").strip().encode() + b"\n"
