"""Brings a backup to another store and proves that it arrived.

Parts first, then wrapped keys and proofs, then the manifest: until that last object is there, the other store has
debris and no backup. Every volume is read again at the far end and compared with the manifest's SHA-512. A replication
that was interrupted is simply run again: what has arrived intact is not sent twice.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta

from include.recovery.catalog import manifests
from include.recovery.catalog.catalog import Catalog
from include.recovery.catalog.layout import MANIFEST
from include.recovery.catalog.lease import Clock, utc_now
from include.recovery.catalog.model import Manifest, Part, Proof, ProofLevel, Volume
from include.recovery.errors import (
    BackupCorrupt,
    LeaseLost,
    ManifestInvalid,
    PartDamaged,
    PartMissing,
    PreconditionFailed,
    Refused,
    StoreUnavailable,
)
from include.recovery.parts.progress import NO_PROGRESS, Progress
from include.recovery.parts.read import check_volume, open_behind_marker
from include.recovery.stores.port import ObjectStore

_log = logging.getLogger(__name__)

Elsewhere = Callable[[], str]
"""Says what it found where the bytes of a backup are that the stores do not hold; raises ``BackupCorrupt``."""

_BLOCK = 1024 * 1024
_VOLUMES_AT_ONCE = 2
_POLL_SECONDS = 2.0


def replicate(
    manifest: Manifest,
    from_store: ObjectStore,
    to_store: ObjectStore,
    *,
    by: str,
    progress: Progress = NO_PROGRESS,
    stop: threading.Event | None = None,
    elsewhere: Elsewhere | None = None,
    now: Clock = utc_now,
) -> Proof:
    """Copy a backup, verify it at the far end, and record the proof in both stores.

    The service copies by itself where both stores are of one service; else the bytes stream through this process in
    flat memory.

    :param by: the run or person, for the proof.
    :param stop: once set, the replication ends; run it again to go on.
    :param elsewhere: checks what of the backup lies outside of the stores; only then it may have no parts.
    :return: the proof.
    :raises BackupCorrupt: when the copy at hand is damaged, or the far end's stays damaged after another try; a failed
        proof is recorded.
    """
    _refuse_partless(manifest, elsewhere)
    begun = time.monotonic()
    stop = stop or threading.Event()
    volumes = [(part, number, volume) for part in manifest.parts for number, volume in enumerate(part.volumes, 1)]
    arrived = {info.key: info.size for info in to_store.list(f"{manifest.prefix}parts/")}
    source, target = Catalog(from_store, now=now), Catalog(to_store, now=now)
    at_fault: list[str] = []

    def bring(job: tuple[Part, int, Volume]) -> bool:
        part, number, volume = job
        there = arrived.get(volume.key) == volume.size
        if there:
            try:
                check_volume(to_store, part, number, progress=progress)
            except (PartDamaged, PartMissing) as damage:
                _log.warning("%s; copying it again", damage)
            else:
                return False
        try:
            _copy_volume(from_store, to_store, part, number, stop)
        except BackupCorrupt:
            at_fault.append(from_store.name)
            raise
        check_volume(to_store, part, number, progress=progress)
        return True

    data = _own_manifest(from_store, manifest)
    try:
        told = elsewhere() if elsewhere else ""
        with ThreadPoolExecutor(_VOLUMES_AT_ONCE, thread_name_prefix="replicate") as pool:
            sent = sum(_all(pool, bring, volumes, stop))
        for folder in ("keys/", "proofs/"):
            _copy_records(from_store, to_store, manifest.prefix + folder)
        _write_once(to_store, manifest.prefix + MANIFEST, data)
    except BackupCorrupt as damage:
        source.append_proof(manifest, _failure(damage, [*at_fault, to_store.name][0], by, now))
        raise
    volumes_told = f"{len(volumes)} volumes, {manifest.stored_size} bytes, equal by SHA-512; {sent} copied by this run"
    detail = told or volumes_told
    proof = _success(data, to_store.name, by, detail, now, begun)
    target.append_proof(manifest, proof)
    return source.append_proof(manifest, proof)


def await_replication(
    manifest: Manifest,
    from_store: ObjectStore,
    to_store: ObjectStore,
    *,
    by: str,
    timeout: timedelta,
    progress: Progress = NO_PROGRESS,
    elsewhere: Elsewhere | None = None,
    now: Clock = utc_now,
) -> Proof:
    """Wait until the stores' own replication has brought a backup over, verify it there, and record the proof.

    The proof is recorded on this side only; the stores bring it over, like everything else.

    :param elsewhere: as for ``replicate``.

    :raises StoreUnavailable: when something is still missing after the timeout, naming what.
    :raises BackupCorrupt: when what arrived is not what was written.
    """
    _refuse_partless(manifest, elsewhere)
    begun = time.monotonic()
    data = _own_manifest(from_store, manifest)
    wanted = {volume.key: volume.size for part in manifest.parts for volume in part.volumes}
    wanted |= {info.key: info.size for info in from_store.list(f"{manifest.prefix}keys/")}
    wanted[manifest.prefix + MANIFEST] = len(data)
    while missing := _missing(to_store, manifest.prefix, wanted):
        if time.monotonic() - begun > timeout.total_seconds():
            raise StoreUnavailable(
                f"backup {manifest.name}: {len(missing)} of {len(wanted)} objects have not reached store "
                f"{to_store.name} after {timeout}, such as {missing[0]}; look at the stores' replication status"
            )
        time.sleep(_POLL_SECONDS)
    source = Catalog(from_store, now=now)
    try:
        told = elsewhere() if elsewhere else ""
        for part in manifest.parts:
            for number in range(1, len(part.volumes) + 1):
                check_volume(to_store, part, number, progress=progress)
        if manifests.fetch(to_store, manifest.prefix) != data:
            raise ManifestInvalid(f"manifest of backup {manifest.name} in store {to_store.name} differs from this one")
    except BackupCorrupt as damage:
        source.append_proof(manifest, _failure(damage, to_store.name, by, now))
        raise
    detail = told or f"{len(wanted)} objects replicated by the stores, volumes equal by SHA-512"
    return source.append_proof(manifest, _success(data, to_store.name, by, detail, now, begun))


def _refuse_partless(manifest: Manifest, elsewhere: Elsewhere | None) -> None:
    """Nothing for a backup whose bytes are in its parts, or are looked at elsewhere: with neither there is nothing to
    copy, and no proof of it.

    :raises Refused: for any other.
    """
    if not manifest.parts and elsewhere is None:
        raise Refused(
            f"backup {manifest.name} has no parts to copy; a backup of the cluster is taken into each store's own "
            "repository: name the store in its tier"
        )


def _copy_volume(
    from_store: ObjectStore, to_store: ObjectStore, part: Part, number: int, stop: threading.Event
) -> None:
    volume = part.volumes[number - 1]
    if to_store.copy_from(from_store, volume.key):
        return
    digest = hashlib.sha512()
    with closing(open_behind_marker(from_store, part, number)) as stream, to_store.writer(volume.key) as writer:
        while block := stream.read(_BLOCK):
            if stop.is_set():
                raise LeaseLost(f"replication of {volume.key} was told to stop; run it again to go on")
            digest.update(block)
            writer.write(block)
        if digest.hexdigest() != volume.sha512:
            raise PartDamaged(
                f"{volume.key} in store {from_store.name} does not have the SHA-512 that was written, so it is not "
                "copied; this copy is damaged, back up again"
            )
        writer.commit()


def _copy_records(from_store: ObjectStore, to_store: ObjectStore, prefix: str) -> None:
    there = {version.key for version in to_store.versions(prefix) if not version.marker}
    here = {version.key for version in from_store.versions(prefix) if not version.marker}
    for key in sorted(here - there):
        _write_once(to_store, key, manifests.read_behind_marker(from_store, key))


def _write_once(store: ObjectStore, key: str, data: bytes) -> None:
    """Write a record that another run may have written already, with the same content."""
    try:
        store.put(key, data, if_absent=True)
    except PreconditionFailed:
        if manifests.read_behind_marker(store, key) != data:
            raise ManifestInvalid(
                f"{key} exists in store {store.name} already and is not the same; "
                "find out who wrote it, and do not restore from that store"
            ) from None


def _own_manifest(store: ObjectStore, manifest: Manifest) -> bytes:
    data = manifests.fetch(store, manifest.prefix)
    if manifests.parsed(data, manifest.prefix) != manifest:
        raise manifests.edited(manifest.prefix, "it is not the one that this run began with")
    return data


def _missing(store: ObjectStore, prefix: str, wanted: dict[str, int]) -> list[str]:
    there = {info.key: info.size for info in store.list(prefix)}
    return sorted(key for key, size in wanted.items() if there.get(key) != size)


def _all(
    pool: ThreadPoolExecutor,
    work: Callable[[tuple[Part, int, Volume]], bool],
    jobs: list[tuple[Part, int, Volume]],
    stop: threading.Event,
) -> list[bool]:
    """Do all jobs; when one fails, stop the others and raise its error."""
    futures = [pool.submit(work, job) for job in jobs]
    try:
        return [future.result() for future in futures]
    except BaseException:
        for future in futures:
            future.cancel()
        stop.set()
        raise


def _success(data: bytes, store: str, by: str, detail: str, now: Clock, begun: float) -> Proof:
    return Proof(
        level=ProofLevel.REPLICATED,
        ok=True,
        at=now(),
        by=by,
        store=store,
        detail=detail,
        seconds=round(time.monotonic() - begun, 3),
        manifest_sha512=manifests.digest(data),
    )


def _failure(damage: BackupCorrupt, store: str, by: str, now: Clock) -> Proof:
    return Proof(
        level=ProofLevel.REPLICATED, ok=False, at=now(), by=by, store=store, detail=str(damage), failures=(str(damage),)
    )
