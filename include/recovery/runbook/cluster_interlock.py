"""The last word before a whole cluster is replaced: the directory, its identity, and who uses it. Pure.

Approvals and their signatures are judged by ``interlock.check_approved``, the same for everything that is overwritten.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

from include.recovery.errors import Refused
from include.recovery.evidence.signing import Verifier
from include.recovery.evidence.words import listed, plural
from include.recovery.runbook.approval import SignedApproval, SignedBegun
from include.recovery.runbook.cluster_target import ClusterFacts
from include.recovery.runbook.interlock import check_approved, require_fresh
from include.recovery.runbook.plan import Mode, PlannedSource, RecoveryPlan


@dataclass(frozen=True)
class ScratchCluster:
    """The stand-in of a rehearsal, as it was made.

    :param folder: of the run on this host; a rehearsal touches nothing outside it.
    :param system_identifier: of the stand-in.
    """

    folder: str
    system_identifier: str


@dataclass(frozen=True)
class ClusterClearance:
    """The interlock's yes, for the log and the evidence.

    :param people: who approved.
    """

    source: PlannedSource
    facts: ClusterFacts
    people: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.facts} may be replaced from backup {self.source.backup}, approved by {listed(self.people)}"


def check_cluster(
    plan: RecoveryPlan,
    planned: PlannedSource,
    facts: ClusterFacts,
    approvals: Sequence[SignedApproval],
    *,
    requester: str | None,
    people_needed: int,
    now: datetime,
    verifier: Verifier,
    approvers: Collection[str] | None = None,
    begun: SignedBegun | None = None,
    scratch: ScratchCluster | None = None,
) -> ClusterClearance:
    """Let a step pass that stops a cluster's server or puts its directory aside, or refuse it with one sentence.

    :param facts: of the very cluster, taken now; see ``interlock.check`` for the other parameters.
    :param scratch: the stand-in of a rehearsal.
    :raises Refused: when it is not the cluster of the plan, or somebody uses it whom the plan did not name.
    :raises ApprovalMissing: when not enough people have validly approved exactly this plan.
    """
    require_fresh(facts, now)
    expected = planned.cluster
    if expected is None or plan.source(planned.source) != planned:
        raise Refused(f"the plan of {plan.system} does not name a whole cluster for {planned.source}; make a new plan")
    if plan.mode is Mode.REHEARSAL:
        _require_scratch(plan, expected, facts, scratch)
    else:
        _require_same(expected, facts)
    people = check_approved(
        plan, approvals, requester=requester, people_needed=people_needed, now=now, verifier=verifier,
        approvers=approvers, begun=begun,
    )  # fmt: skip
    return ClusterClearance(planned, facts, people)


def require_own(facts: ClusterFacts, system_identifier: str) -> None:
    """Let a cluster be planned for that a backup is of.

    :param system_identifier: of the backup.
    :raises Refused: when the directory holds another cluster: it would take another one's place.
    """
    if facts.system_identifier and facts.system_identifier != system_identifier:
        raise Refused(
            f"{facts} is not the cluster that was backed up, which has system identifier {system_identifier}; correct "
            "the data directory in the cluster's connection, or choose a backup of this cluster"
        )


def _require_same(expected: ClusterFacts, facts: ClusterFacts) -> None:
    if facts.exists and not expected.exists:
        raise Refused(f"{facts} was missing when the plan was made and is there now; make a new plan")
    for what, wanted, found in (
        ("host", expected.host, facts.host),
        ("data directory", expected.data_directory, facts.data_directory),
        ("port", str(expected.port), str(facts.port)),
        ("directory identity", expected.directory_id, facts.directory_id),
        ("system identifier", expected.system_identifier, facts.system_identifier),
    ):
        if wanted != found and (facts.exists or what in {"host", "data directory", "port"}):
            raise Refused(
                f"{facts}: the plan that was approved names {what} {wanted or 'none'}, found is {found or 'none'}; "
                "this is another target, so make a new plan"
            )
    _require_databases(expected, facts)
    unknown = facts.users - expected.users
    sessions = [s for s in facts.strangers if (s.user, s.application, s.client) in unknown]
    if sessions:
        raise Refused(
            f"{facts} has {plural(len(sessions), 'live session')} that the plan did not name, such as {sessions[0]} in "
            f"database {sessions[0].database}; find out who that is, then make a new plan"
        )


def _require_databases(expected: ClusterFacts, facts: ClusterFacts) -> None:
    """The databases can be compared only when the server answered both times."""
    if not (expected.answers and facts.answers):
        return
    more = sorted(set(facts.databases) - set(expected.databases))
    if more:
        raise Refused(
            f"{facts} has {plural(len(more), 'database')} that the plan did not name: {listed(more)}; make a new plan"
        )


def _require_scratch(
    plan: RecoveryPlan, expected: ClusterFacts, facts: ClusterFacts, scratch: ScratchCluster | None
) -> None:
    if scratch is None:
        raise Refused(f"a rehearsal of {plan.system} replaces only a stand-in of its own, and none was given")
    folder, data = PurePosixPath(scratch.folder), PurePosixPath(facts.data_directory)
    live = PurePosixPath(expected.data_directory)
    inside = folder.is_absolute() and data.is_relative_to(folder) and data != folder
    is_live = data == live or live.is_relative_to(folder)
    if not inside or is_live or facts.system_identifier != scratch.system_identifier:
        raise Refused(
            f"a rehearsal may not touch {facts}: only the stand-in in {scratch.folder} (system identifier "
            f"{scratch.system_identifier}) may be replaced"
        )
