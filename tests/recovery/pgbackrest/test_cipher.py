"""The repository's pass: one for all who ask, wrapped, and of its own store alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from include.recovery.errors import KeyUnavailable, WrongKey
from include.recovery.keys.envelope import Keyring
from include.recovery.keys.escrow import EscrowWrapper
from include.recovery.pgbackrest.cipher import cipher_pass, cipher_prefix, rewrap
from include.recovery.stores.folder import FolderStore


@pytest.fixture
def keyring(escrow_key: Any) -> Keyring:
    return Keyring([EscrowWrapper(private_key_pem=escrow_key.private_pem)])


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore("primary", tmp_path)


def test_everybody_gets_the_same_pass_also_after_a_rotation(store: FolderStore, keyring: Keyring) -> None:
    first = cipher_pass(store, keyring, "shop", "main-db", create=True)
    assert cipher_pass(store, keyring, "shop", "main-db", create=True) == first
    rewrap(store, keyring, "shop", "main-db")
    assert cipher_pass(store, keyring, "shop", "main-db") == first
    assert len(list(store.list(cipher_prefix("shop", "main-db")))) == 2
    assert cipher_pass(store, keyring, "shop", "other-db", create=True) != first


def test_the_pass_lies_nowhere_in_the_clear(store: FolderStore, keyring: Keyring) -> None:
    secret = cipher_pass(store, keyring, "shop", "main-db", create=True)
    assert not [info.key for info in store.list("") if secret.encode() in store.get(info.key)[0]]


def test_none_is_made_where_a_repository_may_exist(store: FolderStore, keyring: Keyring) -> None:
    with pytest.raises(KeyUnavailable, match="store primary has no pass for the repository of shop/main-db"):
        cipher_pass(store, keyring, "shop", "main-db")


def test_a_pass_in_the_wrong_place_is_refused(store: FolderStore, keyring: Keyring) -> None:
    cipher_pass(store, keyring, "shop", "main-db", create=True)
    (info,) = store.list(cipher_prefix("shop", "main-db"))
    store.put(info.key.replace("main-db", "other-db"), store.get(info.key)[0])
    with pytest.raises(WrongKey, match="is the pass of shop/main-db/pgbackrest"):
        cipher_pass(store, keyring, "shop", "other-db")
