"""One pass of the watchdog over all systems."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from include.recovery.concerns import Severity
from include.recovery.errors import LifeboatError, Unavailable
from include.recovery.policy.last_valid import remember_policies
from include.recovery.stores.folder import FolderStore
from include.recovery.watchdog.alarms import AlarmBook
from include.recovery.watchdog.look import Look
from include.recovery.watchdog.watch import watch
from include.recovery.workspace import PRIMARY
from recovery_airflow.notifications.slack_alerts import send_notice
from recovery_airflow.operators.step import RunFacts, StepOperator, now
from recovery_airflow.scratch import scratch_root

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.recovery.stores.port import ObjectStore
    from include.recovery.workspace import Workspace

ALL = "all systems"


class NobodyTold(Unavailable):
    """The pass was made, and its messages did not go, or its memory could not be kept. The next one tries again."""


class WatchSystemsOperator(StepOperator):
    """Looks at every system: late backups, RPO, heartbeats, the primary's disk and slots, standbys, archives, drills.

    Each cause is told once, once more when it gets worse, and once when it is over; the state is kept in the primary
    store and on the worker. What is wrong with a system does not colour the run: it is red when somebody had to be told
    and could not be.
    """

    ui_color = "#f7edc8"

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        workspace = self.workspace
        done = watch(
            Look.around(workspace, now()), alarm_book(workspace),
            lambda message: send_notice(workspace, message, self.log), url=run.url,
        )
        for alarm in done.on:
            level = logging.ERROR if alarm.grade is Severity.CRITICAL else logging.WARNING
            self.log.log(level, "%s, since %s: %s", alarm.grade.name.lower(), alarm.since.isoformat(), alarm.sentence)
        if done.problems:
            raise NobodyTold("; ".join(done.problems))
        self.remember()
        return {"on": len(done.on), "told": sum(len(each.told) for each in done.systems), "sentence": done.in_words}

    def remember(self) -> None:
        """Keep the valid policies, so that the watchdog knows what a system promises whose file breaks tomorrow."""
        try:
            remember_policies(self.workspace.store(PRIMARY), self.workspace.policies)
        except LifeboatError as error:
            self.log.warning("the policies could not be kept, the next pass tries again: %s", error)


def alarm_book(workspace: Workspace) -> AlarmBook:
    """Where the alarms are kept: in the primary store, and on this worker for when it does not answer."""
    scratch = scratch_root()
    # Beside it: what lies in there are scratch servers, which are swept.
    places: list[ObjectStore] = [FolderStore("worker", scratch.with_name(f"{scratch.name}-watchdog"))]
    try:
        places.insert(0, workspace.store(PRIMARY))
    except LifeboatError:
        # Its connection is missing: the watchdog tells so, and remembers here that it did.
        return AlarmBook(places)
    return AlarmBook(places)
