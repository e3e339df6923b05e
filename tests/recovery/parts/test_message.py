"""Our messages are those of the AWS Encryption SDK: the library opens ours, and we open the library's."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pytest
from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
from aws_cryptographic_material_providers.mpl.models import AesWrappingAlg, CreateRawAesKeyringInput
from aws_encryption_sdk import CommitmentPolicy, EncryptionSDKClient
from aws_encryption_sdk.identifiers import Algorithm

from include.recovery.parts.message import FRAME_BYTES, Decrypting, NotDecryptable, encrypting
from include.recovery.parts.message_format import Malformed, read_header

KEY = bytes(range(32))
CONTEXT = {"system": "labdojo", "backup": "20261121T070000Z-0a1b", "part": "table-0001", "Größe": "7", "empty": ""}
SIZES = (0, 1, 1000, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 2 * FRAME_BYTES, 3 * FRAME_BYTES + 77)


def content_of(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def encrypted(content: bytes, context: Mapping[str, str] = CONTEXT, key: bytes = KEY) -> bytes:
    return b"".join(encrypting(io.BytesIO(content), key, context))


def decrypted(message: bytes, context: Mapping[str, str] = CONTEXT, key: bytes = KEY) -> bytes:
    reader = Decrypting(io.BytesIO(message), key, context)
    frames = []
    while frame := reader.read():
        frames.append(frame)
    return b"".join(frames)


@pytest.fixture(scope="module")
def library() -> EncryptionSDKClient:
    return EncryptionSDKClient(
        commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT, max_encrypted_data_keys=1
    )


@pytest.fixture(scope="module")
def keyring() -> Any:
    return AwsCryptographicMaterialProviders(config=MaterialProvidersConfig()).create_raw_aes_keyring(
        CreateRawAesKeyringInput(
            key_namespace="lifeboat",
            key_name=CONTEXT["backup"],
            wrapping_key=KEY,
            wrapping_alg=AesWrappingAlg.ALG_AES256_GCM_IV12_TAG16,
        )
    )


@pytest.mark.parametrize("size", SIZES)
def test_the_library_opens_our_messages(library: EncryptionSDKClient, keyring: Any, size: int) -> None:
    content = content_of(size)

    found, header = library.decrypt(source=encrypted(content), keyring=keyring)

    assert found == content
    assert dict(header.encryption_context) == CONTEXT
    assert header.algorithm is Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY


@pytest.mark.parametrize("frame_bytes", [4096, FRAME_BYTES])
@pytest.mark.parametrize("size", SIZES)
def test_we_open_the_librarys_messages(library: EncryptionSDKClient, keyring: Any, size: int, frame_bytes: int) -> None:
    content = content_of(size)

    message, _ = library.encrypt(
        source=content,
        keyring=keyring,
        encryption_context=CONTEXT,
        algorithm=Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
        frame_length=frame_bytes,
    )

    assert decrypted(message) == content


def test_we_do_not_open_other_suites(library: EncryptionSDKClient, keyring: Any) -> None:
    message, _ = library.encrypt(source=b"x", keyring=keyring, encryption_context=CONTEXT)  # signed, by default

    with pytest.raises(NotDecryptable, match="0x0578"):
        decrypted(message)


def test_no_two_messages_share_a_key() -> None:
    first, second = encrypted(b"the same"), encrypted(b"the same")

    assert read_header(io.BytesIO(first))[0].message_id != read_header(io.BytesIO(second))[0].message_id
    assert first[-24:] != second[-24:]


def test_every_single_bit_is_authenticated() -> None:
    message = encrypted(b"a few words")
    for place in range(len(message)):
        for bit in (1, 128):
            damaged = bytearray(message)
            damaged[place] ^= bit
            with pytest.raises(NotDecryptable):
                decrypted(bytes(damaged))


def test_a_message_may_not_end_early() -> None:
    message = encrypted(b"a few words")
    for size in range(len(message)):
        with pytest.raises(NotDecryptable):
            decrypted(message[:size])


def test_whole_frames_may_not_be_cut_away_repeated_or_swapped() -> None:
    content = content_of(3 * FRAME_BYTES)
    message = encrypted(content)
    begin = len(read_header(io.BytesIO(message))[0].packed()) + 16
    frame = 4 + 12 + FRAME_BYTES + 16
    first, second, last = message[begin : begin + frame], message[begin + frame : begin + 2 * frame], begin + 2 * frame
    for tampered in (
        message[:begin] + message[last:],
        message[: begin + frame] + message[last:],
        message[:begin] + second + first + message[last:],
        message[:begin] + first + first + message[last:],
        message[:last],
        message + first,
        message + b"\0",
    ):
        with pytest.raises(NotDecryptable):
            decrypted(tampered)


def test_neither_another_key_nor_another_place_opens_it() -> None:
    message = encrypted(b"secret")

    with pytest.raises(NotDecryptable):
        decrypted(message, key=bytes(32))
    with pytest.raises(NotDecryptable, match="it is the message of"):
        decrypted(message, {**CONTEXT, "part": "table-0002"})


def test_a_header_cannot_ask_for_all_the_memory() -> None:
    message = bytearray(encrypted(b"x"))
    place = len(read_header(io.BytesIO(bytes(message)))[0].packed()) - 32 - 4
    message[place : place + 4] = b"\xff\xff\xff\xff"

    with pytest.raises(NotDecryptable, match="frames are said to have 4294967295 bytes"):
        decrypted(bytes(message))


def test_what_is_no_message_is_told_as_such() -> None:
    for wrong in (b"", b"\x01" * 200, b"PGDMP" + bytes(500)):
        with pytest.raises(Malformed):
            read_header(io.BytesIO(wrong))
