"""All checks of the watchdog. A new one is a function in a module of its family, and a line here.

A check of a source yields its concerns; whatever it raises instead is a concern too, and ends what it has raised
before only when it could look again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from include.recovery.concerns import Concern
from include.recovery.watchdog import archive, coverage, drills, late_backups, managed, platform, recoverable, servers
from include.recovery.watchdog.look import Look, Subject


@dataclass(frozen=True)
class Check:
    """One check.

    :param name: short and stable: alarms are remembered by it.
    :param about: what it looks at, for the sentence that says that it could not.
    :param look: at one source.
    """

    name: str
    about: str
    look: Callable[[Subject], Iterable[Concern]]


CHECKS: tuple[Check, ...] = (
    Check("backups", "whether backups are late", late_backups.late_backups),
    Check("rpo", "the newest recoverable point", recoverable.recoverable),
    Check("heartbeat", "the heartbeat", recoverable.heart_beats),
    Check("primary", "the primary's WAL, disk and slots", servers.primary),
    Check("standby", "the hot standby", servers.standby),
    Check("archive", "the WAL archive", archive.archive),
    Check("drills", "whether drills are overdue", drills.drills),
    Check("snapshots", "the snapshots that its service keeps", managed.snapshots),
    Check("databases", "which databases its server has", coverage.unprotected),
    Check("coverage", "which of its tables are proven", coverage.proven),
)

PLATFORM_CHECKS: tuple[tuple[str, Callable[[Look], Iterable[Concern]]], ...] = (
    ("stores", platform.stores),
    ("policies", platform.policies),
)
