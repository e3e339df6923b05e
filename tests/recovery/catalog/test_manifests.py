"""A manifest that was changed after the fact is caught, with the key and without it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.recovery.catalog import manifests
from include.recovery.catalog.catalog import Catalog
from include.recovery.catalog.layout import INDEX_PREFIX
from include.recovery.catalog.model import Manifest, Proof, ProofLevel
from include.recovery.errors import ManifestInvalid, PreconditionFailed, WrongKey
from include.recovery.keys.envelope import Keyring, seal
from include.recovery.stores.folder import FolderStore

KEY = bytes(range(32))


def edit(store: FolderStore, manifest: Manifest, change: Callable[[dict[str, Any]], None]) -> None:
    """Somebody with the right to write opens the manifest in an editor."""
    key = f"{manifest.prefix}manifest.json"
    envelope = json.loads(store.get(key)[0])
    change(envelope["manifest"])
    store.put(key, json.dumps(envelope, indent=1).encode())


def lie(document: dict[str, Any]) -> None:
    document["snapshot_at"] = "2026-12-24T18:00:00Z"


def forget_index(store: FolderStore) -> None:
    for info in list(store.list(INDEX_PREFIX)):
        store.delete(info.key)


def test_everybody_can_read_it(back_up: Callable[..., Manifest], store: FolderStore) -> None:
    manifest = back_up()
    envelope = json.loads(store.get(f"{manifest.prefix}manifest.json")[0])
    assert set(envelope) == {"manifest", "seal"}
    assert envelope["manifest"]["parts"][0]["volumes"][0]["sha512"] == manifest.parts[0].volumes[0].sha512


def test_it_is_written_once(back_up: Callable[..., Manifest], store: FolderStore) -> None:
    manifest = back_up()
    with pytest.raises(PreconditionFailed):
        store.put(f"{manifest.prefix}manifest.json", b"{}", if_absent=True)


def test_an_edit_is_noticed_without_the_key(
    back_up: Callable[..., Manifest], store: FolderStore, catalog: Catalog
) -> None:
    manifest = back_up()
    edit(store, manifest, lie)
    for reader in (catalog, Catalog(store)):
        with pytest.raises(ManifestInvalid, match="was changed after the backup was made.*SHA-512.*do not restore"):
            reader.pick("labdojo", "main-db")


def test_rebuilding_the_index_does_not_wash_it_clean(
    back_up: Callable[..., Manifest], store: FolderStore, catalog: Catalog
) -> None:
    manifest = back_up()
    edit(store, manifest, lie)
    catalog.rebuild_index()
    with pytest.raises(ManifestInvalid):
        catalog.complete(catalog.backups()[0])


def test_proofs_remember_it_when_the_index_is_lost(
    back_up: Callable[..., Manifest], store: FolderStore, catalog: Catalog
) -> None:
    manifest = back_up()
    proof = Proof(level=ProofLevel.RESTORED, ok=True, at=manifest.snapshot_at, by="d", store="primary", detail="")
    catalog.append_proof(manifest, proof)
    edit(store, manifest, lie)
    forget_index(store)
    assert Catalog(store).backups() == []
    assert "was changed" in Catalog(store).problems()[manifest.name]


def test_the_key_tells_even_when_all_else_is_lost(
    back_up: Callable[..., Manifest], store: FolderStore, keyring: Keyring
) -> None:
    manifest = back_up()
    edit(store, manifest, lie)
    forget_index(store)
    fresh = Catalog(store)
    backup = fresh.pick("labdojo", "main-db", wish=manifest.id)
    with pytest.raises(ManifestInvalid, match="its seal does not fit"):
        fresh.key(backup.manifest, keyring)


def test_a_manifest_counts_only_at_its_own_place(back_up: Callable[..., Manifest], store: FolderStore) -> None:
    first, second = back_up(), back_up()
    store.put(f"{second.prefix}manifest.json", store.get(f"{first.prefix}manifest.json")[0])
    with pytest.raises(ManifestInvalid, match=f"says that it is {first.name}"):
        Catalog(store).backup("labdojo", "main-db", "postgres", second.id)


def test_the_key_of_another_backup_does_not_pass(
    back_up: Callable[..., Manifest], store: FolderStore, catalog: Catalog, keyring: Keyring
) -> None:
    first, second = back_up(), back_up()
    foreign = catalog.key_record(first)
    catalog.append_key(second, foreign.model_copy(update={"created_at": catalog.key_record(second).created_at}))
    (*_, newest) = sorted(info.key for info in store.list(f"{second.prefix}keys/"))
    store.put(newest, foreign.model_dump_json().encode())
    with pytest.raises(WrongKey, match=f"is the key of backup {first.name}"):
        catalog.key(second, keyring)


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"{}", b'{"manifest": {}, "seal": {}}', b'{"manifest": 3}'])
def test_nonsense_is_one_sentence(content: bytes) -> None:
    with pytest.raises(ManifestInvalid, match="manifest of backup a/b/c/d"):
        manifests.parsed(content, "a/b/c/d/")
    with pytest.raises(ManifestInvalid):
        manifests.verify_seal(content, KEY, "a/b/c/d/")


def test_a_manifest_from_before_there_were_exports_is_as_good_as_ever(back_up: Callable[..., Manifest]) -> None:
    """Its seal is over what was written, not over what would be written today."""
    document = back_up().model_dump(mode="json")
    assert document.pop("exports") == []
    tag = seal(KEY, manifests.canonical(document))
    data = json.dumps({"manifest": document, "seal": {"algorithm": "HKDF-SHA-512 HMAC-SHA-512", "tag": tag}}).encode()
    prefix = "/".join(document[name] for name in ("system", "source", "kind", "id")) + "/"
    manifests.verify_seal(data, KEY, prefix)
    assert manifests.parsed(data, prefix).exports == ()


scalars: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
nested = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)
documents = st.dictionaries(st.text(), nested, max_size=4)


@settings(max_examples=50)
@given(documents)
def test_the_canonical_form_survives_any_layout(document: dict[str, Any]) -> None:
    rewritten = json.loads(json.dumps(document, indent=3))
    assert manifests.canonical(rewritten) == manifests.canonical(document)
