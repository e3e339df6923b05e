"""The whole cluster restored beside the old one, on its own host, and put in its place when it was checked there.

Unlike the other methods this one stops the server, so it has steps of its own for what they share: isolation, safety
copy, exchange, and the check that the cluster archives on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

from include.recovery.catalog.in_use import in_use
from include.recovery.catalog.model import CompleteBackup, PhysicalBackup
from include.recovery.errors import ManifestInvalid, Refused
from include.recovery.evidence.model import Check
from include.recovery.evidence.words import duration, listed, size
from include.recovery.fingerprint.model import Comparison
from include.recovery.pgbackrest.backup import ensure_stanza
from include.recovery.pgbackrest.concern import reachable
from include.recovery.pgbackrest.restore import closed_databases
from include.recovery.pgbackrest.stanza import open_reading
from include.recovery.policy.models import PostgresSource
from include.recovery.postgres.tools import major_of
from include.recovery.replacement.checks import check_archiving, check_in_service
from include.recovery.replacement.found import find_cluster
from include.recovery.replacement.place import Place
from include.recovery.replacement.restore import Origin, open_privately, ready, restore_beside
from include.recovery.replacement.service import changed_settings, enter_service, put_back
from include.recovery.replacement.site import Site, live_site, stand_in
from include.recovery.runbook.cluster_interlock import ClusterClearance, ScratchCluster, require_own
from include.recovery.runbook.cluster_target import ClusterFacts
from include.recovery.runbook.methods.port import Compared, Job, Loaded, Wanted
from include.recovery.runbook.methods.target_proof import check_of, prove_target
from include.recovery.runbook.physical_choice import choose_physical
from include.recovery.runbook.plan import Mode
from include.recovery.runbook.planning import Choice
from include.recovery.runbook.questions import ask
from include.recovery.runbook.target import TargetFacts

Clear = Callable[[ClusterFacts, ScratchCluster | None], ClusterClearance]
"""The interlock, with the approvals of the run: asked just before a server is stopped or a directory put aside."""


@dataclass(frozen=True)
class Replaced:
    """The new cluster is in service.

    :param kept_as: where the old one is; None when there was none.
    """

    kept_as: str | None
    clearance: ClusterClearance | None


class WholeCluster:
    """See ``RecoveryMethod``."""

    def concerns(self, source: PostgresSource) -> bool:
        """Only a cluster that is in a repository can be put back."""
        return source.physical is not None

    def choose(self, wanted: Wanted) -> Choice:
        """The cluster need not answer, or be there at all.

        :raises Refused: when the directory holds another cluster than the backup, or one with tablespaces.
        """
        found = choose_physical(wanted)
        site = live_site(wanted.workspace, wanted.source)
        facts = find_cluster(site.control, site.server, now=wanted.now())
        wanted.tell(facts.in_words())
        require_own(facts, _physical_of(found.backup.manifest.physical, found.backup.manifest.name).system_identifier)
        if facts.tablespaces:
            raise Refused(
                f"{facts} has tablespaces outside its data directory ({listed(facts.tablespaces)}), which would be "
                "written over; nothing was touched: restore it by hand with pgbackrest --tablespace-map"
            )
        target = TargetFacts(
            host=facts.host, port=facts.port, system_identifier=facts.system_identifier,
            database=wanted.source.database, exists=facts.exists, empty=not facts.exists,
            login_role=site.server.user, size=facts.size, last_write=facts.last_write, sessions=facts.sessions,
            taken_at=facts.taken_at,
        )  # fmt: skip
        return replace(found.choice(target, "whole_cluster"), cluster=facts)

    def stop_server(self, job: Job, clear: Clear) -> str:
        """Stop the server, so that nothing is written behind the safety copy's back."""
        site, place = site_of(job), place_of(job)
        if place.in_place:
            return f"nothing to do: the restored cluster is in {place.data} already"
        clearance = clear(self.facts(job), site.scratch)
        running = site.control.stop()
        what = "was stopped" if running else "was down already"
        return f"the server in {place.data} {what}; {clearance}"

    def safety_copy(self, job: Job) -> str:
        """Where the old cluster will be kept; it costs no room, since it is renamed."""
        place, facts = place_of(job), self.facts(job)
        if place.in_place:
            return f"{place.kept or 'nothing'} is what was there before"
        if not facts.exists:
            return f"nothing to keep: {place.data} does not exist"
        place.require_room(0)
        return f"{place.data} ({size(facts.size)}) will be kept as {place.aside}"

    def make_room(self, job: Job) -> str:
        place = place_of(job)
        needed = _recovery_bytes(job)
        if ready(place) is None:
            place.require_room(needed)
        return f"{place.data.parent} has room for {size(needed)} more, beside the old cluster"

    def restore(self, job: Job) -> Loaded:
        planned, place = job.planned, place_of(job)
        backup = _backup(job)
        with in_use(job.workspace.store(planned.store), backup.manifest, job.run.started_by):
            copy = restore_beside(place, _origin(job, backup), progress=job.progress, stop=job.stop)
        physical = _physical_of(backup.manifest.physical, backup.manifest.name)
        return Loaded(
            physical.repository_size,
            f"cluster of backup {planned.backup} restored beside in {duration(copy.copy_seconds)}, recovered in "
            f"{duration(copy.recover_seconds)} to LSN {copy.lsn}, timeline {copy.timeline}",
        )

    def compare(self, job: Job) -> Compared:
        began, place = monotonic(), place_of(job)
        server = open_privately(place)
        physical = _physical_of(_backup(job).manifest.physical, planned_backup(job))
        failures = closed_databases(server, physical.databases)
        opened = check_of(
            job, "databases of the cluster", f"all {len(physical.databases)} take connections",
            "; ".join(failures) or None,
        )  # fmt: skip
        proven = prove_target(job, server.with_database(job.planned.target.database), began)
        found = proven.comparison or _nothing_compared(job)
        return Compared(found, "; ".join(failures) or proven.problem, (opened, *proven.checks))

    def question(self, job: Job) -> list[Check]:
        server = open_privately(place_of(job), job.planned.target.database)
        return ask(server, job.source.validation, source=job.planned.source)

    def exchange(self, job: Job, clear: Clear) -> Replaced:
        """Put the new cluster in the old one's place and start it as its host does."""
        site, place = site_of(job), place_of(job)
        clearance, expected = None, ""
        if not place.in_place:
            facts = self.facts(job)
            clearance, expected = clear(facts, site.scratch), facts.directory_id
        enter_service(place, site.control, site.server, expected=expected)
        return Replaced(str(place.kept) if place.kept else None, clearance)

    def check(self, job: Job) -> str:
        """Clients reach it, every database lets them in, and WAL of the new timeline arrives in every repository.

        :raises NotIdentical, SourceError: naming what is not so.
        """
        site, place = site_of(job), place_of(job)
        copy = ready(place)
        if copy is None:
            raise Refused(f"no cluster has been restored for {place.data} in this run")
        physical = _physical_of(_backup(job).manifest.physical, planned_backup(job))
        cluster = check_in_service(place, site.server, system_identifier=physical.system_identifier)
        tool, repositories = site.archive(job.workspace, job.workspace.system(job.plan.system), job.source)
        ensure_stanza(tool, stop=job.stop)
        arrived = check_archiving(
            tool, repositories, timeline=copy.timeline, segment_bytes=cluster.wal_segment_bytes, stop=job.stop
        )
        notes = [f"{name} differs from the one in {place.aside}" for name in changed_settings(place)]
        if job.source.physical is not None and job.source.physical.standby is not None:
            notes.append("the hot standby follows the old timeline and has to be made anew")
        told = f"{len(cluster.databases)} databases take connections on timeline {copy.timeline}; WAL arrives: "
        return told + "; ".join([", ".join(f"{name} in repository {n}" for n, name in arrived.items()), *notes])

    def put_back(self, job: Job) -> str:
        """The way back, until the new cluster is in service: the old one in its place, as it was."""
        site, found = site_of(job), job.planned.cluster
        return put_back(place_of(job), site.control, site.server, start=found is None or found.running)

    def in_place(self, job: Job) -> bool:
        """Whether the new cluster has taken the old one's place."""
        return place_of(job).in_place

    def facts(self, job: Job) -> ClusterFacts:
        """What is at the place now."""
        site = site_of(job)
        return find_cluster(site.control, site.server, now=job.now())


def site_of(job: Job) -> Site:
    """The live cluster of an incident, the stand-in of a rehearsal."""
    return stand_in(job.scratch) if job.plan.mode is Mode.REHEARSAL else live_site(job.workspace, job.source)


def place_of(job: Job) -> Place:
    """The folders of the replacement: the same for every try of a plan."""
    return Place.of(Path(site_of(job).control.data), job.plan.made_at)


def planned_backup(job: Job) -> str:
    """Name of the backup, for messages."""
    return f"{job.plan.system}/{job.planned.source}/{job.planned.backup}"


def _origin(job: Job, backup: CompleteBackup) -> Origin:
    """What the plan says, and how far the archive reaches now: the stopped server has archived its last segment."""
    system, recovery, manifest = job.workspace.system(job.plan.system), job.planned.recovery, backup.manifest
    if recovery is None:
        raise Refused(f"the plan of {job.plan.system} does not say to where {job.planned.source} is recovered")
    physical = _physical_of(manifest.physical, manifest.name)
    stanza = open_reading(job.workspace, system, job.source, job.planned.store)
    number, goal = stanza.number(job.planned.store), recovery.goal()
    choice = reachable(stanza, number, goal, label=recovery.label)
    return Origin(
        stanza.configuration, number, recovery.label, goal, system_identifier=physical.system_identifier,
        size=choice.backup.size, major=major_of(manifest.server_version),
        superuser=job.workspace.cluster(job.source).user, at_least=choice.reach.last,
        segment_bytes=recovery.segment_bytes,
    )  # fmt: skip


def _recovery_bytes(job: Job) -> int:
    return job.planned.recovery.cluster_bytes if job.planned.recovery else 0


def _backup(job: Job) -> CompleteBackup:
    planned = job.planned
    return job.workspace.catalog(planned.store).backup(job.plan.system, planned.source, planned.kind, planned.backup)


def _physical_of(physical: PhysicalBackup | None, name: str) -> PhysicalBackup:
    if physical is None:
        raise ManifestInvalid(f"backup {name} says nothing of a repository; choose another")
    return physical


def _nothing_compared(job: Job) -> Comparison:
    words = job.planned.recovery.words if job.planned.recovery else "the target"
    return Comparison(
        identical=False, compared_tables=0, compared_rows=0, differences=(), not_compared=(),
        confidence=f"nothing has recorded what the rows were at {words}; every database takes connections, and the "
        "system's own questions are asked",
    )  # fmt: skip


METHOD = WholeCluster()
