"""Should a backup start now, or wait until replicas have caught up and sessions do not queue? Asks, and decides.

What is too much, and for how long a backup waits, is in ``postgres/backoff.py``.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from include.recovery.policy.models import PostgresSource, Tier
from include.recovery.postgres.backoff import Advice, Load, advise
from include.recovery.postgres.replication_state import ask_primary
from include.recovery.postgres.standby import watch

if TYPE_CHECKING:
    from include.recovery.workspace import Workspace


def when_to_start(
    workspace: Workspace, source: PostgresSource, tier: Tier | None, *, put_off: timedelta, now: datetime
) -> Advice:
    """Whether a backup should start now.

    :param tier: it may be put off for half of its grace, so that it is not late for that; None: for the usual patience.
    :param put_off: how long it has waited already.
    :raises SourceUnavailable, SourceError: when the server cannot be asked.
    """
    load = Load() if tier is None else Load(patience=min(Load.patience, tier.grace / 2))
    if source.physical is None:
        return advise(ask_primary(workspace.server(source)), load, put_off=put_off)
    primary = workspace.cluster(source)
    report = None
    if tier is not None and tier.is_physical and source.physical.backup_from == "standby":
        report = watch(workspace.cluster(source, standby=True), primary, now=now)
    return advise(ask_primary(primary), load, put_off=put_off, standby=report)
