"""A Vault or OpenBao cluster, by snapshots of its integrated storage."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path

from include.recovery.content.compare import changes
from include.recovery.content.model import Item
from include.recovery.content.port import EVERYTHING, Captured, PutBack, Restored, Selection, Sink, Site, Stored
from include.recovery.errors import (
    BackupCorrupt,
    InsufficientRights,
    LifeboatError,
    Refused,
    SourceError,
    SourceUnavailable,
)
from include.recovery.evidence.model import Check, Outcome
from include.recovery.policy.source_kinds.vault import VaultSource
from include.recovery.vault import copy
from include.recovery.vault.client import SNAPSHOT, Vault, unseal_keys
from include.recovery.vault.inventory import NEEDED, Inventory
from include.recovery.vault.put_back import keep_aside, put_back, save
from include.recovery.vault.snapshot import read
from include.recovery.vault.take import SNAPSHOT as PART
from include.recovery.vault.take import Facts, take

_RESTORE = f"{SNAPSHOT}-force"


class VaultKind:
    """See ``content/port.py``."""

    name = "vault"
    unit = "item"

    def describe(self, source: VaultSource) -> str:
        """What the source is, in words."""
        return f"Vault at connection {source.connection}"

    def precheck(self, site: Site[VaultSource]) -> str:
        """Whether it is unsealed, keeps its data in raft, and lets the token read what is needed."""
        with self._vault(site) as vault:
            status = self._status(site, vault)
            opened = site.source.unseal_connection is not None
            needed = {SNAPSHOT: "read", **(NEEDED if opened else {})}
            may = vault.capabilities(tuple(needed))
            lacking = [
                f"{what} on {path}" for path, what in needed.items()
                if not {what, "root"} & set(may.get(path, ()))
            ]  # fmt: skip
            if lacking:
                raise InsufficientRights(
                    f"{site.name}: the token of connection {site.source.connection!r} lacks {', '.join(lacking)}; add "
                    "them to its policy"
                )
            if opened:
                unseal_keys(site.connection(site.source.unseal_connection or ""))
            inside = "drills open the copy" if opened else "no unseal keys, so drills compare the sealed state alone"
            return f"version {status['version']}, unsealed, raft; {inside}"

    def capture(self, site: Site[VaultSource], sink: Sink) -> Captured:
        """A snapshot, and with unseal keys for the drill an inventory of the same moment."""
        with self._vault(site) as vault:
            version = self._status(site, vault)["version"]
            at = site.now()
            snapshot, not_compared = take(vault, sink, listed=site.source.unseal_connection is not None)
        sink.leave_out(
            "unseal keys",
            "no snapshot holds them, and without them nobody opens this one; kept by: "
            f"{site.source.unseal_keys_kept_by}",
        )
        return Captured(
            at, server_version=version, size=snapshot.size, lsn=str(snapshot.index), not_compared=not_compared
        )

    def live_items(self, site: Site[VaultSource]) -> Iterator[Item]:
        """What the cluster holds now. Its snapshot's items change with each entry of the log."""
        key, listed = secrets.token_bytes(32), site.source.unseal_connection is not None
        if site.beside is not None:
            facts = Facts.of(site.beside)
            key, listed = bytes.fromhex(facts.key), facts.listed
        with self._vault(site) as vault:
            self._status(site, vault)
            if listed:
                yield from Inventory(vault, key).items()
            with vault.snapshot() as stream:
                yield from read(stream, vault.name, SourceError).items()

    def restore(self, site: Site[VaultSource], stored: Stored, folder: Path, only: Selection = EVERYTHING) -> Restored:
        """The snapshot in a folder and, where the backup lists what is inside, a server opened over it."""
        self.discard(folder)
        facts = Facts.of(stored)
        keys = self._keys(site, stored) if facts.listed else []
        if facts.listed and len(keys) < facts.threshold:
            raise SourceError(
                f"connection {site.source.unseal_connection!r} gives {len(keys)} unseal keys, and backup "
                f"{stored.manifest.name} needs {facts.threshold}; add the others"
            )
        folder.mkdir(mode=0o700)
        try:
            _fetch(stored, facts, folder)
            _write(folder / "copy.json", json.dumps({"facts": asdict(facts), "only": only.prefixes}))
            if not facts.listed:
                return Restored(0, f"snapshot in {folder}", ("it was not opened: there are no unseal keys",))
            source = site.source
            copy.start(
                folder, folder / "snapshot", keys, shares=facts.shares, threshold=facts.threshold,
                program=source.program, network=source.network,
                whose=f"connection {source.unseal_connection!r}",
            )  # fmt: skip
        except BaseException:
            self.discard(folder)
            raise
        return Restored(0, f"server in {folder}, opened with the unseal keys")

    def items(self, site: Site[VaultSource], folder: Path) -> Iterator[Item]:
        """What the opened server holds, and what the snapshot beside it is."""
        facts, only = self._copy(folder)
        if facts.listed:
            with copy.opened(folder, self._keys(site)) as vault:
                yield from filter(lambda item: only.wants(item.name), self._inside(vault, facts))
        with (folder / "snapshot").open("rb") as stream:
            for item in read(stream, str(folder), BackupCorrupt).items():
                if only.wants(item.name):
                    yield item

    def questions(self, site: Site[VaultSource], folder: Path) -> Sequence[Check]:
        """Whether what the policy names is in the opened copy."""
        facts, _ = self._copy(folder)
        wanted = site.source.present
        if not wanted:
            return ()
        if not facts.listed:
            return tuple(
                Check(name=f"{name} is there", outcome=Outcome.SKIPPED, expected="at least 1", found="not opened")
                for name in wanted
            )
        counts = dict.fromkeys(wanted, 0)
        with copy.opened(folder, self._keys(site)) as vault:
            for item in self._inside(vault, facts):
                for name in wanted:
                    counts[name] += item.name.startswith(name)
        return tuple(
            Check(
                name=f"{name} is there", outcome=Outcome.PASSED if count else Outcome.FAILED,
                expected="at least 1", found=str(count),
            )
            for name, count in counts.items()
        )  # fmt: skip

    def discard(self, folder: Path) -> None:
        """End the copy's server and remove its folder."""
        copy.remove(folder)

    def put_back(self, site: Site[VaultSource], stored: Stored, only: Selection = EVERYTHING) -> PutBack:
        """Make the cluster hold the snapshot, after one of the present was kept aside."""
        if only != EVERYTHING:
            raise Refused(
                f"{site.name}: a snapshot goes back as a whole; to get single secrets, restore a copy and read "
                "them there"
            )
        with self._vault(site) as vault:
            self._status(site, vault)
            if not {"update", "root"} & set(vault.capabilities([_RESTORE]).get(_RESTORE, ())):
                raise InsufficientRights(
                    f"{site.name}: the token of connection {site.source.connection!r} lacks update on {_RESTORE}"
                )
            beside = Site(site.workspace, site.system, site.source, site.progress, site.stop, site.now, stored)
            changed = sum(1 for _ in changes(stored.items(), self.live_items(beside)))
            aside = keep_aside(vault, Path(site.source.aside), site.name, site.now())
            note = put_back(vault, stored)
        return PutBack(changed, str(aside), (note,))

    def _vault(self, site: Site[VaultSource]) -> AbstractContextManager[Vault]:
        return Vault.opened(site.connection(site.source.connection), f"Vault of {site.name}", site.stop)

    def _status(self, site: Site[VaultSource], vault: Vault) -> dict[str, str]:
        status = vault.seal_status()
        if status["sealed"]:
            raise SourceUnavailable(f"{site.name}: {vault.name} is sealed; unseal it, then try again")
        if status.get("storage_type", "raft") != "raft":
            raise SourceError(
                f"{site.name}: {vault.name} keeps its data in {status['storage_type']}, and only integrated storage "
                "(raft) gives snapshots; back that storage up instead, by the kind that it is"
            )
        if site.source.unseal_connection is not None and status["type"] != "shamir":
            raise SourceError(
                f"{site.name}: {vault.name} is unsealed by {status['type']}, not by unseal keys; leave "
                "unseal_connection out, then drills compare the sealed state alone"
            )
        return status

    def _keys(self, site: Site[VaultSource], stored: Stored | None = None) -> list[str]:
        if site.source.unseal_connection is None:
            what = stored.manifest.name if stored else "the copy"
            raise LifeboatError(
                f"{site.name}: {what} lists what is inside, and is compared by opening it; name "
                "unseal_connection in the policy"
            )
        return unseal_keys(site.connection(site.source.unseal_connection))

    def _copy(self, folder: Path) -> tuple[Facts, Selection]:
        try:
            noted = json.loads((folder / "copy.json").read_text())
        except OSError as error:
            raise LifeboatError(f"there is no copy in {folder}; restore one first") from error
        return Facts(**noted["facts"]), Selection(tuple(noted["only"]))

    def _inside(self, vault: Vault, facts: Facts) -> Iterator[Item]:
        return Inventory(vault, bytes.fromhex(facts.key)).items()


def _fetch(stored: Stored, facts: Facts, folder: Path) -> None:
    with stored.open(PART) as stream:
        found = save(stream, folder / "snapshot", stored.manifest.name, BackupCorrupt)
    if found != facts.snapshot:
        raise BackupCorrupt(f"{stored.manifest.name}: its snapshot is not the one that its facts name")


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


KIND = VaultKind()
