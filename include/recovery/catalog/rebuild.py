"""The index made again from what it lists: each backup's row, from its manifest's file and its proofs."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

from pydantic import ValidationError

from include.recovery.catalog import manifests
from include.recovery.catalog.index import Entry, Index
from include.recovery.catalog.model import Proof
from include.recovery.catalog.scan import Found, scan
from include.recovery.errors import ManifestInvalid, ObjectMissing
from include.recovery.stores.port import ObjectStore

_log = logging.getLogger(__name__)

_READERS = 8


def index_of(store: ObjectStore) -> Index:
    """The index that a store's manifests and proofs make."""

    def look(found: Found) -> tuple[str, Entry | str]:
        try:
            data = manifests.fetch(store, found.prefix)
            return found.prefix, entry_of(store, found.prefix, data, found.keys_below("proofs/"))
        except (ManifestInvalid, ObjectMissing) as error:
            return found.prefix, str(error)

    with ThreadPoolExecutor(_READERS, thread_name_prefix="index") as pool:
        rows = list(pool.map(look, (found for found in scan(store) if found.manifest is not None)))
    return Index(
        backups={prefix: row for prefix, row in rows if isinstance(row, Entry)},
        invalid={prefix: row for prefix, row in rows if isinstance(row, str)},
    )


def entry_of(store: ObjectStore, prefix: str, data: bytes, proof_keys: list[str]) -> Entry:
    """A backup's row, from its manifest's file and its proofs.

    :raises ManifestInvalid: when the manifest is not the one that a proof was made with.
    """
    manifest = manifests.parsed(data, prefix)
    entry = Entry(summary=manifest.summary(), manifest_sha512=manifests.digest(data))
    entry = entry.with_proofs(tuple(proofs_of(store, proof_keys)))
    refuse_edited(prefix, entry.manifest_sha512, entry)
    return entry


def refuse_edited(prefix: str, found: str, entry: Entry) -> None:
    """Nothing for a manifest that everybody knows by the same digest.

    :param found: the digest of the manifest's file.
    :raises ManifestInvalid: when the index or a proof recorded another one.
    """
    known = {entry.manifest_sha512} | {proof.manifest_sha512 for proof in entry.proofs if proof.manifest_sha512}
    if known != {found}:
        raise manifests.edited(prefix, "it does not have the SHA-512 that the index and the proofs recorded")


def proofs_of(store: ObjectStore, keys: list[str]) -> list[Proof]:
    """Proofs by their keys; one that cannot be read proves nothing."""
    proofs = []
    for key in keys:
        try:
            proofs.append(Proof.model_validate_json(manifests.read_behind_marker(store, key)))
        except (ValidationError, ObjectMissing) as error:
            _log.warning("store %s: %s is not a proof: %s", store.name, key, error)
    return proofs
