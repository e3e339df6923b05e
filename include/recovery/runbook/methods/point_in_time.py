"""The cluster recovered to a target on a scratch server of the worker, its database copied beside the live one.

The server that people use, and its cluster, stay as they are: only one database of it is replaced, by the same swap as
with a dump.
"""

from __future__ import annotations

from include.recovery.evidence.model import Check
from include.recovery.policy.models import PostgresSource
from include.recovery.postgres.facts import target_facts
from include.recovery.runbook.methods.port import Compared, Job, Loaded, RecoveryMethod, Wanted
from include.recovery.runbook.physical_choice import choose_physical
from include.recovery.runbook.planning import Choice


class PointInTime:
    """See ``RecoveryMethod``."""

    def concerns(self, source: PostgresSource) -> bool:
        return source.physical is not None

    def choose(self, wanted: Wanted) -> Choice:
        found = choose_physical(wanted)
        facts = target_facts(wanted.workspace.server(wanted.source, role="restore"), now=wanted.now())
        return found.choice(facts, "point_in_time")

    def make_room(self, job: Job) -> str:
        raise NotImplementedError

    def restore(self, job: Job) -> Loaded:
        raise NotImplementedError

    def compare(self, job: Job) -> Compared:
        raise NotImplementedError

    def question(self, job: Job) -> list[Check]:
        raise NotImplementedError


METHOD: RecoveryMethod = PointInTime()
