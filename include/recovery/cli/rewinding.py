"""restore --to: the whole cluster as it was at a moment, in a folder of its own; nothing that is live is touched."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from include.recovery.catalog.model import CompleteBackup
from include.recovery.catalog.points import RecoveryPoints
from include.recovery.cli.desk import Desk, run_info
from include.recovery.cli.output import bar, say
from include.recovery.errors import NotIdentical, Refused
from include.recovery.evidence.words import duration, moment, plural, size
from include.recovery.pgbackrest.restore import Restored
from include.recovery.policy.models import PostgresSource, ProtectedSystem
from include.recovery.postgres.heartbeat import read_heartbeat
from include.recovery.postgres.point_proof import compare_with_point
from include.recovery.postgres.scratch import ScratchServer
from include.recovery.postgres.scratch_settings import PORT
from include.recovery.postgres.tools import find, major_of
from include.recovery.runbook.methods.port import Wanted
from include.recovery.runbook.physical_choice import Chosen, choose_physical
from include.recovery.sources import pgbackrest


@dataclass(frozen=True)
class Rewind:
    """What was asked for.

    :param to: the target, in the words of ``runbook.aim``.
    :param directory: of the restored cluster; must not exist, or be empty.
    :param check: compare with the recovery point, when one was asked for.
    """

    system: ProtectedSystem
    source: PostgresSource
    to: str
    store: str
    directory: Path
    check: bool


def rewind(desk: Desk, request: Rewind) -> None:
    """Restore a cluster to a folder, leave it running there, and say what it holds and how to use it.

    :raises Refused: when something is in the folder.
    :raises BackupNotFound: when the target cannot be reached.
    :raises NotIdentical: when the copy is not what its recovery point says; it stays, for those who want to look.
    """
    directory = request.directory.absolute()
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise Refused(f"{directory} is not an empty folder; nothing was touched: name one that does not exist yet")
    system, source = request.system, request.source
    chosen = choose_physical(
        Wanted(desk.workspace, system, source, request.to, (), desk.now, say), (request.store,)
    )
    catalog, row = desk.catalog(chosen.store), chosen.backup.manifest
    backup = catalog.backup(system.system, source.name, row.kind, row.id)
    restored = _restore(desk, backup, chosen, directory)
    _tell(desk, request, chosen, restored, directory)
    if request.check:
        _compare(desk, request, chosen, restored)


def _restore(desk: Desk, backup: CompleteBackup, chosen: Chosen, directory: Path) -> Restored:
    try:
        with bar(f"restoring {chosen.recovery.label}", None) as progress:
            return pgbackrest.restore(
                desk.workspace, backup, directory, target=chosen.recovery.goal(), store=chosen.store,
                run=run_info(desk, "restore"), profile="stock", progress=progress,
            )  # fmt: skip
    except BaseException:
        # The folder was not there, or empty: half a cluster must not be taken for a whole one.
        ScratchServer.remove(directory)
        raise


def _tell(desk: Desk, request: Rewind, chosen: Chosen, restored: Restored, directory: Path) -> None:
    to, zone, now, name = chosen.recovery, request.system.time_zone, desk.now(), request.system.system
    about = "" if to.exact else "about "
    say(f"the cluster of {name}/{request.source.name} as of {to.words} is in {directory}/data", "green")
    say(
        f"kept: everything that was committed by {about}{moment(to.kept_until, zone)}, from backup "
        f"{chosen.backup.manifest.id} in store {chosen.store} and {plural(to.segments, 'segment')} of its log "
        f"({size(to.segments * to.segment_bytes)} at most), to LSN {restored.recovered.lsn}; "
        f"it took {duration(restored.seconds)}"
    )
    say(
        f"lost in it: what was written later, {duration((now - to.kept_until).total_seconds())} until now, and rows of "
        "unlogged tables; the live server has not been touched",
        "yellow",
    )
    server = restored.server.server(request.source.database)
    beat = read_heartbeat(server)
    if beat is not None:
        say(f"its newest heartbeat is number {beat.beat} of {moment(beat.at, zone)}")
    say("it runs behind a private socket, archives nothing and takes no network; use it:")
    say("  " + shlex.join(["psql", "-h", server.host, "-p", str(PORT), "-U", server.user, "-d", server.database]))
    say("end it, and throw it away when it is not needed any more:")
    pg_ctl = find(major_of(chosen.backup.manifest.server_version), tool="pg_ctl").path("pg_ctl")
    say(f"  {shlex.join([pg_ctl, 'stop', '-D', f'{directory}/data'])} && {shlex.join(['rm', '-r', str(directory)])}")
    say("before another server is started over this folder, set archive_mode = off: it is not the original", "yellow")


def _compare(desk: Desk, request: Rewind, chosen: Chosen, restored: Restored) -> None:
    if chosen.recovery.point is None:
        return
    points = RecoveryPoints(desk.workspace.store(chosen.store))
    point = points.pick(request.system.system, request.source.name, chosen.recovery.point, desk.now())
    copy = restored.server.server(request.source.database)
    found = compare_with_point(point, copy, workers=request.source.fingerprint.workers)
    for left in found.not_compared:
        say(f"not compared: {left.object}: {left.why}", "yellow")
    if found.differences:
        named = "; ".join(difference.message for difference in found.differences)
        raise NotIdentical(f"{copy.redacted} is not recovery point {point.name}: {named}")
    say(f"compared with recovery point {point.name}: {found.verdict}", "green")
