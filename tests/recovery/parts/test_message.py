"""Messages open only whole, undamaged, with their own key and in their own place."""

from __future__ import annotations

import io
from collections.abc import Mapping

import pytest
from aws_encryption_sdk import CommitmentPolicy, EncryptionSDKClient

from include.recovery.parts.message import FRAME_BYTES, Decrypting, NotDecryptable, encrypting, master_key

KEY = bytes(range(32))
CONTEXT = {"system": "labdojo", "backup": "20261121T070000Z-0a1b", "part": "table-0001", "Größe": "7", "empty": ""}
SIZES = (0, 1, 1000, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 2 * FRAME_BYTES, 3 * FRAME_BYTES + 77)
FIRST_FRAME = b"\0\0\0\1" + bytes(11) + b"\1"
"""Its number and its nonce."""


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


@pytest.mark.parametrize("size", SIZES)
def test_content_of_any_size_comes_back(size: int) -> None:
    content = content_of(size)

    assert decrypted(encrypted(content)) == content


def test_a_message_is_read_and_written_a_frame_at_a_time() -> None:
    content = content_of(8 * FRAME_BYTES)

    pieces = list(encrypting(io.BytesIO(content), KEY, CONTEXT))
    reader = Decrypting(io.BytesIO(b"".join(pieces)), KEY, CONTEXT)

    assert max(map(len, pieces)) <= 2 * FRAME_BYTES
    assert max(map(len, iter(reader.read, b""))) == FRAME_BYTES


def test_no_two_messages_share_a_key() -> None:
    first, second = encrypted(b"the same"), encrypted(b"the same")

    assert first[-24:] != second[-24:]


def test_another_suite_is_refused() -> None:
    client = EncryptionSDKClient(commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
    signed, _ = client.encrypt(source=b"x", key_provider=master_key(KEY, CONTEXT), encryption_context=CONTEXT)

    with pytest.raises(NotDecryptable):
        decrypted(signed)


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
    begin = message.index(FIRST_FRAME)
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
    place = message.index(FRAME_BYTES.to_bytes(4, "big"))
    message[place : place + 4] = b"\xff\xff\xff\xff"

    with pytest.raises(NotDecryptable):
        decrypted(bytes(message))


@pytest.mark.parametrize("wrong", [b"", b"\x01" * 200, b"PGDMP" + bytes(500)], ids=["empty", "ones", "a dump"])
def test_what_is_no_message_is_told_as_such(wrong: bytes) -> None:
    with pytest.raises(NotDecryptable):
        decrypted(wrong)
