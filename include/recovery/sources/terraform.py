"""Terraform's state, from a bucket or a file."""

from __future__ import annotations

import io
import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from include.recovery.content.compare import changes
from include.recovery.content.model import Item
from include.recovery.content.port import EVERYTHING, Captured, PutBack, Restored, Selection, Sink, Site, Stored
from include.recovery.errors import BackupCorrupt, LifeboatError, Refused, SourceError
from include.recovery.evidence.model import Check, Outcome
from include.recovery.policy.source_kinds.terraform import StateInS3, TerraformSource
from include.recovery.stores.s3 import S3Store
from include.recovery.terraform.backend import Backend, waiting
from include.recovery.terraform.document import MOST, State, parse
from include.recovery.terraform.file_state import FileState
from include.recovery.terraform.s3_state import S3State
from include.recovery.terraform.tool import listed

PART, FILE, _NOTE = "state", "terraform.tfstate", "copy.json"
_log = logging.getLogger(__name__)


class TerraformKind:
    """See ``content/port.py``."""

    name = "terraform"
    unit = "resource"

    def describe(self, source: TerraformSource) -> str:
        """What the source is, in words."""
        backend = source.backend
        if isinstance(backend, StateInS3):
            return f"Terraform state s3://{backend.bucket}/{backend.key}"
        return f"Terraform state {backend.path}"

    def precheck(self, site: Site[TerraformSource]) -> str:
        """Whether it is there, can be read, and what is overwritten can be had again."""
        return _backend(site).check()

    def capture(self, site: Site[TerraformSource], sink: Sink) -> Captured:
        """The state as nobody is changing it; part and items are of the very same bytes."""
        backend = _backend(site)
        backend.check()
        data = _read(site, backend)
        at = site.now()
        state = parse(data, backend.where, SourceError)
        sink.store(io.BytesIO(data), PART)
        for item in state.items():
            sink.item(item)
        return Captured(
            at, server_version=state.version, size=len(data), lsn=state.position, notes=tuple(_odd(site, state))
        )

    def live_items(self, site: Site[TerraformSource]) -> Iterator[Item]:
        """What the state holds now."""
        backend = _backend(site)
        return parse(_read(site, backend), backend.where, SourceError).items()

    def restore(
        self, site: Site[TerraformSource], stored: Stored, folder: Path, only: Selection = EVERYTHING
    ) -> Restored:
        """The whole state as a file; of a selection, only what was selected is compared."""
        self.discard(folder)
        data = _stored(stored)
        state = parse(data, stored.manifest.name, BackupCorrupt)
        folder.mkdir(mode=0o700)
        file = folder / FILE
        file.touch(mode=0o600)
        file.write_bytes(data)
        (folder / _NOTE).write_text(json.dumps(only.prefixes))
        return Restored(0, str(file), (f"lineage {state.lineage}, serial {state.serial}",))

    def items(self, site: Site[TerraformSource], folder: Path) -> Iterator[Item]:
        """What the file in a folder holds."""
        only = Selection(tuple(json.loads((folder / _NOTE).read_text())))
        return (item for item in _copy(folder).items() if only.wants(item.name))

    def questions(self, site: Site[TerraformSource], folder: Path) -> Sequence[Check]:
        """Whether Terraform would take it, and does where it is installed."""
        state = _copy(folder)
        addresses = state.addresses()
        found = f"serial {state.serial}, {len(addresses)} instances, providers {', '.join(state.providers) or 'none'}"
        structure = Check(
            name="the state is one that Terraform takes", outcome=Outcome.PASSED,
            expected="format version 4 with lineage, serial, providers, each address once", found=found,
        )  # fmt: skip
        by_tool = listed(folder / FILE, addresses)
        return (structure,) if by_tool is None else (structure, by_tool)

    def discard(self, folder: Path) -> None:
        """Remove a copy."""
        shutil.rmtree(folder, ignore_errors=True)

    def put_back(self, site: Site[TerraformSource], stored: Stored, only: Selection = EVERYTHING) -> PutBack:
        """Write the state under its lock, one serial beyond the present one, which is kept."""
        if only != EVERYTHING:
            raise Refused(f"{site.name}: a state goes back as a whole; single resources are for terraform import")
        wanted = parse(_stored(stored), stored.manifest.name, BackupCorrupt)
        backend, now = _backend(site), site.now()

        def attempt() -> PutBack:
            with backend.locked(now):
                return _exchange(backend, wanted, site)

        done: PutBack = waiting(attempt, backend.where, seconds=_patience(site), stop=site.stop)
        return done


def _exchange(backend: Backend, wanted: State, site: Site[TerraformSource]) -> PutBack:
    data = backend.current()
    if data is None:
        backend.write(wanted.with_serial(wanted.serial))
        return PutBack(len(list(wanted.items())), "nothing: there was no state")
    try:
        present = parse(data, backend.where, SourceError)
    except SourceError as error:
        aside = backend.keep_aside(site.now())
        # A damaged state may have had any serial; this is beyond what a few days can have made.
        backend.write(wanted.with_serial(wanted.serial + 1000))
        return PutBack(len(list(wanted.items())), aside, (f"the present state could not be read: {error}",))
    if present.lineage != wanted.lineage:
        raise Refused(
            f"{site.name}: {backend.where} is of lineage {present.lineage}, the backup of {wanted.lineage}: another "
            "state is never overwritten; move the present one away first, if the backup is to take its place"
        )
    if present.same_but_serial(wanted):
        return PutBack(0, "nothing: it holds what the backup holds", (f"serial {present.serial} stays",))
    changed = sum(1 for _ in changes(wanted.items(), present.items()))
    aside = backend.keep_aside(site.now())
    serial = max(present.serial, wanted.serial) + 1
    backend.write(wanted.with_serial(serial))
    return PutBack(
        changed, aside, (f"serial {serial} follows {present.serial}; run terraform plan next",)
    )


def _odd(site: Site[TerraformSource], state: State) -> Iterator[str]:
    """What people should know about a state, compared with the newest backup."""
    rows = site.workspace.catalog().backups(site.system.system, site.source.name, TerraformKind.name)
    newest = max((row.manifest for row in rows), key=lambda facts: (facts.snapshot_at, facts.id), default=None)
    if newest is None or not newest.lsn:
        return
    lineage, _, serial = newest.lsn.rpartition("/")
    if lineage != state.lineage:
        found = f"lineage is {state.lineage}, and was {lineage} in backup {newest.id}: this is another state"
    elif state.serial < int(serial):
        found = f"serial is {state.serial}, and was {serial} in backup {newest.id}: an older state was put in place"
    else:
        return
    _log.warning("%s: %s", site.name, found)
    yield found


def _backend(site: Site[TerraformSource]) -> Backend:
    backend = site.source.backend
    if isinstance(backend, StateInS3):
        store = S3Store.from_connection(site.source.name, backend.bucket, site.connection(backend.connection))
        return S3State(store, backend.key)
    return FileState(Path(backend.path))


def _read(site: Site[TerraformSource], backend: Backend) -> bytes:
    data: bytes = waiting(backend.read, backend.where, seconds=_patience(site), stop=site.stop)
    return data


def _patience(site: Site[TerraformSource]) -> float:
    return site.source.lock_wait.total_seconds()


def _stored(stored: Stored) -> bytes:
    with stored.open(PART) as stream:
        data = stream.read(MOST + 1)
        if stream.read(1):
            raise BackupCorrupt(f"{stored.manifest.name}: its state is larger than {MOST} bytes")
    return data


def _copy(folder: Path) -> State:
    try:
        data = (folder / FILE).read_bytes()
    except OSError as error:
        raise LifeboatError(f"there is no copy in {folder}; restore one first") from error
    return parse(data, str(folder / FILE), BackupCorrupt)


KIND = TerraformKind()
