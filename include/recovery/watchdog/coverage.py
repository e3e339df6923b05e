"""What exists, against what is protected and proven: databases in no policy, tables that no drill has touched."""

from __future__ import annotations

from collections.abc import Iterator

from include.recovery.concerns import Concern, Severity
from include.recovery.coverage.discover import WINDOW, with_tables
from include.recovery.coverage.judge import excused
from include.recovery.coverage.tables import Stored, live_tables
from include.recovery.errors import LifeboatError
from include.recovery.evidence.words import listed, plural
from include.recovery.policy.models import PostgresSource
from include.recovery.watchdog.look import Subject, ToldElsewhere

_SHOWN = 5


def unprotected(subject: Subject) -> Iterator[Concern]:
    """Each database of the source's server that is in no policy; told by the first source of that server alone."""
    look, source = subject.look, subject.source
    if not isinstance(source, PostgresSource):
        return
    server = next((each for each in look.servers() if subject.name in {other.name for other in each.reached}), None)
    if server is None or server.listing is None:
        raise ToldElsewhere  # by the check of its tables
    if server.reached[0].name != subject.name:
        return
    reasons = look.workspace.policies.platform.not_protected
    for found in server.found():
        if excused(found, reasons).alarming:
            # A base backup has it; still nobody has said what of it may be lost, and no drill looks at it.
            grave = Severity.WARNING if found.note else Severity.CRITICAL
            yield Concern(grave, f"database {found.name}", f"{subject.name}: {found.sentence}")


def proven(subject: Subject) -> Iterator[Concern]:
    """Whether every table of a source was restored and compared inside the window."""
    source = subject.source
    if not isinstance(source, PostgresSource):
        return
    workspace = subject.look.workspace
    stored = [Stored(workspace.catalog(store), subject.backups(store)) for store in subject.look.stores]
    try:
        live = live_tables(workspace.server(source), source)
    except LifeboatError as error:
        if source.physical is not None:
            raise ToldElsewhere from error  # by the checks of the primary and its heartbeat
        raise
    seen = with_tables(subject.system, source, stored, live, subject.now)
    unproven = seen.unproven
    if not unproven or not seen.newest_backup:
        # That there is no backup at all is told by the check of the RPO.
        return
    share, days = seen.share_of_bytes or 0.0, WINDOW.days
    stale = [table for table in unproven if table.state == "stale"]
    names = listed([table.name for table in unproven], most=_SHOWN)
    # A new table waits for the next drill, and nothing has to be done; a proof that ran out is a drill that was missed.
    yield Concern(
        Severity.WARNING if stale else Severity.NOTE, "coverage",
        f"{subject.name}: {share:.0%} of its bytes were restored and found identical within {days} days, "
        f"{plural(len(unproven), 'table')} not: {names}; the next drill restores them, see that it runs",
    )
