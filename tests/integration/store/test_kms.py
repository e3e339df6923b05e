"""Keys wrapped by a KMS: bound to their backup, and refused with one sentence."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from include.recovery.connections import ConnectionInfo
from include.recovery.errors import KeyDisabled, KeyUnavailable, Unavailable, WrongKey
from include.recovery.keys.envelope import Keyring
from include.recovery.keys.kms import KmsWrapper

if TYPE_CHECKING:
    from tests.fixtures.servers import Kms

pytestmark = pytest.mark.integration

CONTEXT = {"system": "labdojo", "source": "main-db", "kind": "postgres", "backup": "20261121T070000Z-0a1b"}


@pytest.fixture
def key_id(kms: Kms) -> Iterator[str]:
    """A key of this test's own."""
    created = kms.client().create_key()["KeyMetadata"]["KeyId"]
    yield created
    kms.client().schedule_key_deletion(KeyId=created, PendingWindowInDays=7)


def ring(kms: Kms, key_id: str) -> Keyring:
    return Keyring([KmsWrapper.from_connection(kms.connection, key_id)])


def test_wraps_by_alias_and_names_the_key_itself(kms: Kms) -> None:
    key, record = ring(kms, kms.alias).new_key(CONTEXT)
    assert kms.key_id in record.recipients[0].key_id
    assert ring(kms, kms.alias).unwrap(record) == key


def test_no_key_reaches_a_log_however_loud(kms: Kms, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key, record = ring(kms, kms.alias).new_key(CONTEXT)
    ring(kms, kms.alias).unwrap(record)
    logging.getLogger("test").debug("this is loud")
    assert "this is loud" in caplog.text
    assert base64.b64encode(key).decode() not in caplog.text
    assert repr(key) not in caplog.text


def test_the_context_is_bound(kms: Kms) -> None:
    _, record = ring(kms, kms.key_id).new_key(CONTEXT)
    moved = record.model_copy(update={"context": CONTEXT | {"system": "aiaas"}})
    with pytest.raises(WrongKey, match=r"does not open the key of backup aiaas/main-db.*wrapped by another key or for"):
        ring(kms, kms.key_id).unwrap(moved)


def test_a_disabled_key_says_so_and_works_again_when_enabled(kms: Kms, key_id: str) -> None:
    key, record = ring(kms, key_id).new_key(CONTEXT)
    kms.client().disable_key(KeyId=key_id)
    with pytest.raises(KeyDisabled, match="is disabled or pending deletion; enable it again"):
        ring(kms, key_id).unwrap(record)
    with pytest.raises(KeyDisabled):
        ring(kms, key_id).new_key(CONTEXT)
    kms.client().enable_key(KeyId=key_id)
    assert ring(kms, key_id).unwrap(record) == key


def test_another_key_does_not_open_it(kms: Kms, key_id: str) -> None:
    _, record = ring(kms, kms.key_id).new_key(CONTEXT)
    theirs = record.recipients[0].model_copy(update={"key_id": key_id})
    # AWS says IncorrectKeyException, moto AccessDeniedException.
    with pytest.raises(KeyUnavailable, match=key_id):
        ring(kms, key_id).unwrap(record.model_copy(update={"recipients": (theirs,)}))


def test_a_key_that_the_kms_does_not_have(kms: Kms) -> None:
    with pytest.raises(WrongKey, match="has no key .*; check the region and account"):
        ring(kms, "11111111-2222-3333-4444-555555555555").new_key(CONTEXT)


def test_a_kms_that_is_down_is_worth_another_try() -> None:
    extra = {"endpoint_url": "http://127.0.0.1:9", "region_name": "us-east-1"}
    down = KmsWrapper.from_connection(ConnectionInfo("kms", login="a", password="s", extra=extra), "alias/x")
    with pytest.raises(Unavailable, match="does not answer") as caught:
        Keyring([down]).new_key(CONTEXT)
    assert not isinstance(caught.value, KeyUnavailable)
