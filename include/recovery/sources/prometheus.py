"""The time series of a Prometheus server, by its snapshots."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from include.recovery.content.http_service import HttpService
from include.recovery.content.model import Item
from include.recovery.content.port import EVERYTHING, Captured, PutBack, Restored, Selection, Sink, Site, Stored
from include.recovery.errors import BackupCorrupt, InsufficientRights, LifeboatError, Refused, SourceError, ToolFailed
from include.recovery.evidence.model import Check, Outcome
from include.recovery.policy.source_kinds.prometheus import PrometheusSource
from include.recovery.processes import run_tool
from include.recovery.prometheus import exchange, scratch, server
from include.recovery.prometheus.blocks import measured, pack, unpack

PART, _NOTE = exchange.PART, "copy.json"


class PrometheusKind:
    """See ``content/port.py``."""

    name = "prometheus"
    unit = "block"

    def describe(self, source: PrometheusSource) -> str:
        """What the source is, in words."""
        where = f", data in {source.data}" if source.data else ""
        return f"Prometheus at connection {source.connection}{where}"

    def precheck(self, site: Site[PrometheusSource]) -> str:
        """Whether it gives snapshots, and they can be read and removed here."""
        data = _data(site)
        with _service(site) as live:
            return server.check(live, data)

    def capture(self, site: Site[PrometheusSource], sink: Sink) -> Captured:
        """A snapshot's blocks as one archive; the snapshot goes when it is stored, or when storing fails."""
        data, size = _data(site), 0
        with _service(site) as live:
            version, at = server.version(live), site.now()
            with server.snapshot(live, data) as folder, sink.writing(PART) as stream:
                for block in pack(folder, stream):
                    item = block.item()
                    size += item.size
                    sink.item(item)
        sink.leave_out("exemplars, metadata, the write-ahead log", "a snapshot holds samples, as blocks")
        sink.leave_out(
            "samples that came out of order since the last compaction",
            "a snapshot takes the newest samples in order only",
        )
        return Captured(at, server_version=version, size=size)

    def live_items(self, site: Site[PrometheusSource]) -> Iterator[Item]:
        """The blocks in the server's folder; its newest samples are in none yet, so there is always a difference."""
        return (block.item() for block in measured(_data(site, writable=False)))

    def restore(
        self, site: Site[PrometheusSource], stored: Stored, folder: Path, only: Selection = EVERYTHING
    ) -> Restored:
        """The blocks in a folder."""
        self.discard(folder)
        folder.mkdir(mode=0o700)
        try:
            (folder / "blocks").mkdir()
            with stored.open(PART) as stream:
                count = unpack(stream, folder / "blocks", stored.manifest.name, only)
            (folder / _NOTE).write_text(json.dumps(only.prefixes))
        except BaseException:
            self.discard(folder)
            raise
        return Restored(0, f"{count} files of blocks in {folder / 'blocks'}")

    def items(self, site: Site[PrometheusSource], folder: Path) -> Iterator[Item]:
        """The blocks in a folder, read through."""
        return (block.item() for block in measured(_blocks(folder), BackupCorrupt))

    def questions(self, site: Site[PrometheusSource], folder: Path) -> Sequence[Check]:
        """Whether promtool knows all blocks, and a server over them answers the policy's questions."""
        blocks = _blocks(folder)
        known = list(measured(blocks, BackupCorrupt))
        checks = [_listed(blocks, [block.name for block in known])]
        if site.source.questions and not known:
            return [*checks, *(
                Check(name=each.name, outcome=Outcome.FAILED, expected=each.expected, found="no block to ask")
                for each in site.source.questions
            )]  # fmt: skip
        if site.source.questions:
            newest = max(int(block.meta["maxTime"]) - 1 for block in known) / 1000
            with scratch.serving(blocks, folder / "server", site.stop) as copy:
                for each in site.source.questions:
                    found, said = server.ask(copy, each.query, newest - each.before.total_seconds())
                    outcome = Outcome.PASSED if each.accepts(found) else Outcome.FAILED
                    checks.append(Check(name=each.name, outcome=outcome, expected=each.expected, found=said))
        return checks

    def discard(self, folder: Path) -> None:
        """Remove a copy."""
        exchange.discard(folder)

    def put_back(self, site: Site[PrometheusSource], stored: Stored, only: Selection = EVERYTHING) -> PutBack:
        """The blocks in the place of the stopped server's folder, which is kept aside."""
        if only != EVERYTHING:
            raise Refused(
                f"{site.name}: blocks go back all together; to look at some, restore a copy and start a server over it"
            )
        with _service(site) as live:
            return exchange.put_back(stored, _folder(site), live, site.now())


def _service(site: Site[PrometheusSource]) -> HttpService:
    return server.service(site.connection(site.source.connection), f"Prometheus of {site.name}")


def _data(site: Site[PrometheusSource], *, writable: bool = True) -> Path:
    """The server's folder.

    :raises SourceError, InsufficientRights: when it is not seen here, or not with the rights that are needed.
    """
    data = _folder(site)
    if not data.is_dir():
        raise SourceError(
            f"{site.name}: {data} is no folder that this worker sees; run its backups on the server's host, or mount "
            "the folder there (series are not fetched over the network)"
        )
    snapshots = data / "snapshots"
    there = snapshots if snapshots.exists() else data
    if writable and not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        raise InsufficientRights(
            f"{site.name}: uid {os.geteuid()} may not remove snapshots in {there}; run this worker as the server's user"
        )
    return data


def _folder(site: Site[PrometheusSource]) -> Path:
    """Where the server's folder is, by the policy or else by the connection.

    :raises SourceError: when neither says it.
    """
    found = site.source.data or site.connection(site.source.connection).extra.get("data")
    if not isinstance(found, str) or not found.startswith("/"):
        raise SourceError(
            f"{site.name}: found {found!r} as the server's data folder; name its absolute path as 'data' in the "
            f"policy, or in the extra of connection {site.source.connection!r}"
        )
    return Path(found)


def _blocks(folder: Path) -> Path:
    if not (folder / _NOTE).exists():
        raise LifeboatError(f"there is no copy in {folder}; restore one first")
    return folder / "blocks"


def _listed(blocks: Path, names: list[str]) -> Check:
    name, expected = "promtool knows every block", f"{len(names)} blocks"
    program = shutil.which("promtool")
    if program is None:
        return Check(
            name=name, outcome=Outcome.SKIPPED, expected=expected, required=False,
            found="promtool is not on PATH; install the Debian package prometheus on this worker",
        )  # fmt: skip
    try:
        said = run_tool(
            [program, "tsdb", "list", str(blocks)], env={"PATH": os.environ.get("PATH", ""), "HOME": str(blocks)}
        ).decode()
    except ToolFailed as error:
        return Check(name=name, outcome=Outcome.FAILED, expected=expected, found=str(error)[:500])
    found = {line.split()[0] for line in said.splitlines()[1:] if line.strip()}
    outcome = Outcome.PASSED if found == set(names) else Outcome.FAILED
    return Check(name=name, outcome=outcome, expected=expected, found=f"{len(found)} blocks", output=said[:2000])


KIND = PrometheusKind()
