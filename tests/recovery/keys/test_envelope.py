"""A backup's key comes back only to those it was wrapped for, and only as itself."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from include.recovery.catalog.model import Recipient
from include.recovery.errors import KeyDisabled, KeyUnavailable, WrongKey
from include.recovery.keys.envelope import Keyring, decoded, derived
from include.recovery.keys.escrow import EscrowWrapper

CONTEXT = {"system": "labdojo", "source": "main-db", "kind": "postgres", "backup": "20261121T070000Z-0a1b"}


def test_the_escrow_alone_gives_the_key_back(escrow_key: Any) -> None:
    key, record = Keyring([EscrowWrapper(escrow_key.public_pem)]).new_key(CONTEXT)
    assert Keyring([EscrowWrapper(private_key_pem=escrow_key.private_pem)]).unwrap(record) == key
    assert len(key) == 32
    assert key.hex() not in record.model_dump_json()


def test_openssl_gives_the_key_back_too(escrow_key: Any, tmp_path: Path) -> None:
    key, record = Keyring([EscrowWrapper(escrow_key.public_pem)]).new_key(CONTEXT)
    (tmp_path / "escrow.pem").write_text(escrow_key.private_pem)
    (tmp_path / "wrapped").write_bytes(decoded(record.recipients[0].ciphertext))
    options = [f"-pkeyopt=rsa_{o}" for o in ("padding_mode:oaep", "oaep_md:sha512", "mgf1_md:sha512")]
    argv = ["openssl", "pkeyutl", "-decrypt", "-inkey", "escrow.pem", "-in", "wrapped"]
    for option in options:
        argv += option.split("=", 1)
    assert subprocess.run(argv, cwd=tmp_path, check=True, capture_output=True).stdout == key


def test_every_key_is_new(escrow_key: Any) -> None:
    ring = Keyring([EscrowWrapper(escrow_key.public_pem)])
    assert ring.new_key(CONTEXT)[0] != ring.new_key(CONTEXT)[0]


def test_another_private_key_is_one_clear_sentence(escrow_key: Any) -> None:
    _, record = Keyring([EscrowWrapper(escrow_key.public_pem)]).new_key(CONTEXT)
    other = rsa.generate_private_key(65537, 4096).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(
        WrongKey, match="does not open the key of backup labdojo/main-db/postgres/20261121T070000Z-0a1b"
    ):
        Keyring([EscrowWrapper(private_key_pem=other.decode())]).unwrap(record)


def test_the_public_half_alone_says_what_is_missing(escrow_key: Any) -> None:
    ring = Keyring([EscrowWrapper(escrow_key.public_pem)])
    _, record = ring.new_key(CONTEXT)
    with pytest.raises(WrongKey, match="none of these is at hand"):
        ring.unwrap(record)


class Lying:
    """A key service that opens every wrapped key to the same wrong one, or refuses."""

    type = "aws-kms"
    can_unwrap = True

    def __init__(self, error: KeyUnavailable | None = None) -> None:
        self.error = error

    def wrap(self, key: bytes, context: Mapping[str, str]) -> Recipient:
        return Recipient(type="aws-kms", key_id="k", ciphertext="")

    def unwrap(self, recipient: Recipient, context: Mapping[str, str]) -> bytes:
        if self.error:
            raise self.error
        return bytes(32)


def test_a_key_that_is_not_the_right_one_is_noticed_before_it_is_used() -> None:
    ring = Keyring([Lying()])
    _, record = ring.new_key(CONTEXT)
    with pytest.raises(WrongKey, match="opens something else"):
        ring.unwrap(record)


def test_the_escrow_steps_in_for_a_disabled_key(escrow_key: Any) -> None:
    disabled = Lying(KeyDisabled("KMS key k is disabled"))
    key, record = Keyring([disabled, EscrowWrapper(escrow_key.public_pem)]).new_key(CONTEXT)
    with pytest.raises(KeyDisabled):
        Keyring([disabled]).unwrap(record)
    assert Keyring([disabled, EscrowWrapper(private_key_pem=escrow_key.private_pem)]).unwrap(record) == key


def test_weak_or_foreign_escrow_keys_are_refused() -> None:
    weak = rsa.generate_private_key(65537, 2048).public_key()
    with pytest.raises(KeyUnavailable, match="2048 bits"):
        EscrowWrapper(weak.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(KeyUnavailable, match="must be RSA"):
        EscrowWrapper(curve.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())
    with pytest.raises(KeyUnavailable, match="not PEM"):
        EscrowWrapper("nonsense")


def test_a_private_key_with_a_password(escrow_key: Any) -> None:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(escrow_key.private_pem.encode(), None)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"horse")).decode()
    assert EscrowWrapper(private_key_pem=pem, password="horse").can_unwrap
    with pytest.raises(KeyUnavailable, match="check its password") as caught:
        EscrowWrapper(private_key_pem=pem, password="donkey")
    assert "donkey" not in str(caught.value)


def test_derivation_is_plain_hkdf() -> None:
    key = bytes(range(32))
    expected = HKDF(hashes.SHA512(), 64, salt=None, info=b"lifeboat manifest seal").derive(key)
    assert derived(key, "lifeboat manifest seal") == expected
