"""The cluster's backups: what Lifeboat adds to pgBackRest, what a recovery point costs, how fast WAL leaves.

Both contenders work on the same cluster, the same repository and the same file of options, in turn; which of them
begins changes from pair to pair. Plain means pgBackRest called as its manual says, and PostgreSQL started behind it.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import count, cycle
from pathlib import Path

from include.lab.ports import free_ports
from include.recovery.catalog.model import Backup, CompleteBackup
from include.recovery.connections import connections_from_environment
from include.recovery.pgbackrest import workplace
from include.recovery.pgbackrest.configuration import Folders, Options, archive_command
from include.recovery.pgbackrest.expiry import remove_backup
from include.recovery.pgbackrest.restore import Restored, configuration_of_copy
from include.recovery.pgbackrest.setup import protect_cluster
from include.recovery.pgbackrest.stanza import Stanza, open_stanza
from include.recovery.policy.files import load_folder
from include.recovery.policy.models import PostgresSource, ProtectedSystem
from include.recovery.postgres.recovery_point import make_point
from include.recovery.postgres.scratch import ScratchServer
from include.recovery.postgres.scratch_settings import FAST
from include.recovery.postgres.tools import find
from include.recovery.restore_points import options_of
from include.recovery.sources import PHYSICAL, RunInfo, verbs
from include.recovery.workspace import Workspace
from tests.benchmarks.processes import run
from tests.benchmarks.results import Result, faster, overhead
from tests.benchmarks.world import CLUSTER_SYSTEM, DATABASE, World

GROUPS = ("cluster-backup", "cluster-incremental", "cluster-classic", "cluster-restore", "delta", "point", "wal")
SEGMENT = 16 * 1024 * 1024
MIB = 1024 * 1024
CLIENTS, POINTS = 8, 15
CHANGED = "public.learners"
TIERS = {"full": "weekly-full", "incr": "hourly-incremental"}
_ROWS = 2000


@dataclass(frozen=True)
class Cluster:
    """The source's cluster, archiving to the store of the benchmarks."""

    world: World
    workspace: Workspace

    @classmethod
    def protected(cls, world: World) -> Cluster:
        """Make it archive, and take the backup that is restored later; neither is measured."""
        os.environ["LIFEBOAT_PGBACKREST"] = str(world.directory / "br")
        found = connections_from_environment({"LIFEBOAT_CONNECTIONS": str(world.connections)})
        cluster = cls(world, Workspace(load_folder(world.policies), found))
        protect_cluster(cluster.workspace, cluster.system, cluster.source, restart=world.cluster.restart)
        cluster.our_backup()
        assert cluster.base.manifest.physical is not None
        return cluster

    @property
    def system(self) -> ProtectedSystem:
        """Its policy."""
        return self.workspace.system(CLUSTER_SYSTEM)

    @property
    def source(self) -> PostgresSource:
        """Its one source."""
        return self.system.sources[0]

    @property
    def stanza(self) -> Stanza:
        """Its pgBackRest."""
        return open_stanza(self.workspace, self.system, self.source)

    @cached_property
    def base(self) -> CompleteBackup:
        """The full backup that is restored; it is never expired."""
        return self.workspace.catalog().complete(self.rows()[0])

    def rows(self) -> list[Backup]:
        """Its backups in the catalog."""
        return self.workspace.catalog().backups(self.system.system, self.source.name, PHYSICAL)

    def our_backup(self, kind: str = "full") -> float:
        """One by the verb that operator and command line call; seconds."""
        run = RunInfo(run_id=f"bench-{time.time_ns()}", started_by="make bench")
        began = time.monotonic()
        verbs(PHYSICAL).backup(self.workspace, self.system, self.source, self.system.tier(TIERS[kind]), run=run)
        return time.monotonic() - began

    def plain_backup(self, kind: str = "full") -> float:
        """One by pgBackRest alone; seconds."""
        call = self.stanza.tool.call
        words = [call.program, f"--config={call.config}", f"--stanza={call.stanza}"]
        return run([*words, f"--type={kind}", "--repo=1", "--log-level-console=off", "backup"], os.environ).seconds

    def classic_backup(self) -> float:
        """The whole cluster by pg_basebackup to a local file, zipped and not encrypted; seconds."""
        folder = self.world.directory / "basebackup"
        program = find(15, tool="pg_basebackup").path("pg_basebackup")
        words = [str(program), "-D", str(folder), "-Ft", "-z", "-c", "fast"]
        try:
            return run(words, {**os.environ, **self.world.source.environment()}).seconds
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def change(self) -> None:
        """Forget all but the base, and change a table, for an increment of the same size each time."""
        self.forget()
        with self.world.source.with_database(DATABASE).connect() as connection:
            connection.execute(f"UPDATE {CHANGED} SET balance = balance + 1".encode())

    def forget(self) -> None:
        """Expire every backup but the base, so that no contender finds the other's."""
        stanza, base = self.stanza, self.base.manifest
        for row in self.rows():
            if row.manifest.id != base.id:
                verbs(PHYSICAL).expire(self.workspace, row, why="made by a benchmark")
        for backup in stanza.tool.info(repository=1).in_repository(1):
            if base.physical is not None and backup.label != base.physical.label:
                remove_backup(stanza.tool, 1, backup.label)

    def our_restore(self, folder: Path, *, delta: bool = False) -> tuple[float, Restored]:
        """The base by the verb, until the copy takes connections; seconds."""
        began = time.monotonic()
        done: Restored = verbs(PHYSICAL).restore(self.workspace, self.base, folder, delta=delta)
        return time.monotonic() - began, done

    def plain_restore(self, folder: Path) -> float:
        """The base by pgBackRest and pg_ctl, with the same settings, until the copy takes connections; seconds."""
        data, sockets, physical = folder / "data", folder / "s", self.base.manifest.physical
        assert physical is not None
        for each in (folder, data, sockets):
            each.mkdir(mode=0o700)
        configuration = configuration_of_copy(self.stanza.configuration, folder)
        workplace.prepare(configuration)
        words = ["pgbackrest", f"--config={configuration.folders.config}", f"--stanza={configuration.stanza}"]
        words += ["--repo=1", f"--set={physical.label}", "--archive-mode=off", "--log-level-console=off", "restore"]
        settings = {**FAST, "listen_addresses": "", "unix_socket_directories": str(sockets), "hot_standby": "off"}
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        control = [find(15, tool="pg_ctl").path("pg_ctl"), "-D", str(data), "-l", str(folder / "log"), "-s"]
        began = time.monotonic()
        run(words, os.environ)
        # Not through a pipe: the server would inherit it and keep it open.
        port = str(free_ports(1)[0])
        start = [*control, "-W", "-o", f"-p {port} {options}", "start"]
        subprocess.run(start, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
        # pg_ctl's own waiting ends before the recovery does.
        while subprocess.run(["pg_isready", "-q", "-h", str(sockets), "-p", port], check=False).returncode:
            time.sleep(0.05)
        seconds = time.monotonic() - began
        run([*control, "-m", "immediate", "stop"], os.environ)
        return seconds

    def full_and_delta(self, folder: Path) -> tuple[float, float]:
        """Seconds of copying for a full restore, and for one over its result in which a table has changed since."""
        _, full = self.our_restore(folder)
        with full.server.server(DATABASE).connect() as connection:
            connection.execute(f"UPDATE {CHANGED} SET balance = balance + 1".encode())
        full.server.shut_down()
        _, again = self.our_restore(folder, delta=True)
        again.server.stop()
        return full.copied.seconds, again.copied.seconds

    def changed_share(self) -> float:
        """How much of the database the table is that changes, with its indexes. pgBackRest copies whole files."""
        with self.world.source.with_database(DATABASE).connect() as connection:
            words = f"SELECT pg_total_relation_size('{CHANGED}')::float8 / pg_database_size(current_database())"
            row = connection.execute(words.encode()).fetchone()
        return float(row[0]) if row else 1.0

    def points(self, wanted: int) -> tuple[list[float], int]:
        """Milliseconds that writers waited for each of some points under load; how many of them prove rows."""
        server = replace(self.workspace.server(self.source), database=DATABASE)
        with self._load():
            options = options_of(self.source)
            made = [make_point(server, CLUSTER_SYSTEM, self.source.name, options) for _ in range(wanted)]
        return [point.waited_ms for point in made], sum(point.kind == "verifiable" for point in made)

    def push(self, segments: int) -> tuple[float, float]:
        """MiB a second of WAL that reach the repository: pushed by Lifeboat's options, and by pgBackRest's own."""
        ours = archive_command(self.stanza.configuration)
        configuration = self.stanza.configuration
        options = Options(process_max=1, compress_type="gz", compress_level=None, asynchronous=False)
        plain = replace(configuration, folders=Folders(self.world.directory / "plain"), options=options)
        workplace.prepare(plain)
        return self._pushed(ours, segments), self._pushed(archive_command(plain), segments)

    def _pushed(self, command: str, segments: int) -> float:
        """Let WAL pile up, then have it pushed by a command; MiB a second."""
        self._archive_by("")
        self._write_wal(segments)
        with self.world.source.connect() as connection:
            [wanted] = connection.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone() or [""]
            began = time.monotonic()
            self._archive_by(command)
            while True:
                [last] = connection.execute("SELECT last_archived_wal FROM pg_stat_archiver").fetchone() or [""]
                if (last or "")[:24] >= wanted:
                    return segments * SEGMENT / MIB / (time.monotonic() - began)
                time.sleep(0.05)

    def _archive_by(self, command: str) -> None:
        with self.world.source.connect() as connection:
            connection.execute(f"ALTER SYSTEM SET archive_command = '{command.replace(chr(39), chr(39) * 2)}'".encode())
            connection.execute("SELECT pg_reload_conf()")
        time.sleep(0.5)

    def _write_wal(self, segments: int) -> None:
        """As the application would: rows of prose, changed."""
        with self.world.source.with_database(DATABASE).connect() as connection:
            [before] = connection.execute("SELECT pg_current_wal_lsn()").fetchone() or ["0/0"]
            [rows] = connection.execute("SELECT max(id) FROM public.posts").fetchone() or [0]
            for first in cycle(range(1, rows, _ROWS)):
                words = f"UPDATE public.posts SET tokens = tokens + 1 WHERE id BETWEEN {first} AND {first + _ROWS - 1}"
                connection.execute(words.encode())
                asked = connection.execute("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), %s)", [before]).fetchone()
                if asked and asked[0] >= segments * SEGMENT:
                    return

    @contextmanager
    def _load(self) -> Iterator[None]:
        """pgbench, which writes in as many sessions as it can."""
        environment = {**os.environ, **self.world.source.environment(search_path="public")}
        run(["pgbench", "-i", "-q", "-s", "10", DATABASE], environment)
        load = subprocess.Popen(
            ["pgbench", "-n", "-c", str(CLIENTS), "-j", "2", "-T", "3600", DATABASE], env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            time.sleep(3)
            assert load.poll() is None, "pgbench has ended"
            yield
        finally:
            load.terminate()
            load.wait()


def measure(world: World, only: list[str], pairs: int, tell: Callable[[str], object]) -> list[Result]:
    """Every group that is asked for.

    :param pairs: of interleaved runs, one of each contender.
    """
    cluster, numbers, results = Cluster.protected(world), count(1), []

    def restored(work: Callable[[Path], float]) -> float:
        scratch = world.directory / f"copy{next(numbers)}"
        try:
            return work(scratch)
        finally:
            ScratchServer.remove(scratch)
            shutil.rmtree(scratch, ignore_errors=True)

    if "cluster-incremental" in only:
        # First: pgBackRest refuses an increment on a full backup that a later one has followed, expired or not.
        cluster.change()
        increments = (partial(cluster.plain_backup, "incr"), partial(cluster.our_backup, "incr"))
        plain, ours = _interleaved(pairs, *increments, cluster.change)
        baseline = "pgbackrest --type=incr backup, same options"
        results.append(overhead("physical_incremental_overhead", baseline, plain, ours))
        tell(results[-1].detail)
    if "cluster-backup" in only:
        plain, ours = _interleaved(pairs, cluster.plain_backup, cluster.our_backup, cluster.forget)
        results.append(overhead("physical_backup_overhead", "pgbackrest --type=full backup, same options", plain, ours))
        tell(results[-1].detail)
    if "cluster-classic" in only:
        classic, ours = _interleaved(min(pairs, 3), cluster.classic_backup, cluster.our_backup, cluster.forget)
        results.append(faster("physical_backup_vs_basebackup", "pg_basebackup -Ft -z to a local file", classic, ours))
        tell(results[-1].detail)
    if "cluster-restore" in only:
        our_restore = partial(restored, lambda place: cluster.our_restore(place)[0])
        plain, ours = _interleaved(pairs, partial(restored, cluster.plain_restore), our_restore)
        baseline = "pgbackrest restore; pg_ctl start, same options"
        results.append(overhead("physical_restore_overhead", baseline, plain, ours))
        tell(results[-1].detail)
    if "delta" in only:
        full, delta = [], []
        for _ in range(min(pairs, 3)):
            restored(lambda place: _keep(cluster.full_and_delta(place), full, delta))
        share = f"{cluster.changed_share():.1%} of the bytes in files that differ"
        results.append(faster("delta_restore", "our own full restore of the same backup", full, delta, share))
        tell(results[-1].detail)
    if "point" in only:
        waited, verifiable = cluster.points(POINTS)
        detail = f"{min(waited):.1f} to {max(waited):.1f} ms, {verifiable} of {len(waited)} points prove every row"
        load = f"pgbench with {CLIENTS} clients"
        results.append(Result("restore_point_wait_ms", round(statistics.median(waited), 1), load, detail))
        tell(f"median {results[-1].ratio} ms; {detail}")
    if "wal" in only:
        pushed = [cluster.push(16) for _ in range(min(pairs, 3))]
        ours, plain = [list(each) for each in zip(*pushed, strict=True)]
        detail = f"{statistics.median(ours):.0f} MiB/s against {statistics.median(plain):.0f} MiB/s"
        ratio = round(statistics.median(ours) / statistics.median(plain), 2)
        results.append(Result("wal_push", ratio, "archive-push with pgBackRest's own defaults", detail))
        tell(detail)
    return results


def _interleaved(
    pairs: int, plain: Callable[[], float], ours: Callable[[], float], between: Callable[[], object] = lambda: None
) -> tuple[list[float], list[float]]:
    """Seconds of each, run in turn; who begins changes."""
    seconds: dict[Callable[[], float], list[float]] = {plain: [], ours: []}
    for number in range(pairs):
        for contender in (plain, ours) if number % 2 == 0 else (ours, plain):
            seconds[contender].append(contender())
            between()
    return seconds[plain], seconds[ours]


def _keep(pair: tuple[float, float], full: list[float], delta: list[float]) -> float:
    full.append(pair[0])
    delta.append(pair[1])
    return sum(pair)
