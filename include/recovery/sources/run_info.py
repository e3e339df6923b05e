"""Who or what does something."""

from __future__ import annotations

from include.recovery.catalog.model import Record


class RunInfo(Record):
    """Who or what does something: a task's try, or a person at the command line.

    :param run_id: the same for all tries of one run, so that a retry may take the lease of the try before it.
    :param url: of the run's page, if it has one.
    """

    run_id: str
    try_number: int = 1
    started_by: str
    url: str | None = None


def by(run: RunInfo | None) -> str:
    """For proofs and markers."""
    return run.started_by if run else "by hand"
