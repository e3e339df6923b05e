"""What past drills, rehearsals and incidents say: when recovery was last proven, and how long it takes."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from pydantic import ValidationError

from include.recovery.errors import LifeboatError
from include.recovery.evidence.model import REPORTS, DrillReport, IncidentReport
from include.recovery.evidence.verdict import verdict
from include.recovery.evidence.words import plural
from include.recovery.stores.port import ObjectStore

RECENT = 20
"""Older reports say little about today's sizes and servers."""
FOLDERS = ("drills", "incidents")

AnyReport = DrillReport | IncidentReport


def read_reports(store: ObjectStore, system: str, *, most: int = RECENT) -> list[AnyReport]:
    """The newest reports of a system, oldest first.

    Report keys begin with their time, so only the newest are fetched.

    :raises LifeboatError: when one cannot be read.
    """
    found = (info.key for folder in FOLDERS for info in store.list(f"{system}/{folder}/"))
    keys = sorted(filter(is_report, found), key=_name)
    return sorted((read_report(store, key) for key in keys[-most:]), key=lambda report: report.finished_at)


def read_report(store: ObjectStore, key: str) -> AnyReport:
    """One report.

    :raises LifeboatError: when it is not a report.
    """
    content, _ = store.get(key)
    try:
        return REPORTS.validate_json(content)
    except ValidationError as error:
        raise LifeboatError(
            f"store {store.name}: {key} is not a readable report ({plural(error.error_count(), 'problem')}); "
            "verify the chain of evidence"
        ) from None


def is_report(key: str) -> bool:
    """Whether a key is that of a report: ``<system>/<folder>/<name>.json``, no deeper."""
    parts = key.split("/")
    return len(parts) == 3 and parts[1] in FOLDERS and parts[2].endswith(".json")


def expected_duration(history: Sequence[AnyReport], scenario: str) -> tuple[float | None, str]:
    """How long a recovery should take, and a clause that says how that is known.

    Runs of the very scenario count first, since they measure every phase; a drill measures only the restore, on a
    server tuned for speed, which the clause says.
    """
    green = [report for report in history if not verdict(report)]
    same = [r for r in green if isinstance(r, IncidentReport) and r.scenario == scenario]
    if same:
        earnest = sum(1 for report in same if report.mode == "incident")
        kinds = plural(len(same), "run") + " of this scenario"
        kinds += f", {earnest} of them in earnest" if earnest else ", all rehearsals"
        return median(report.seconds - report.waited_seconds for report in same), f"median of {kinds}"
    restores = [r.restore_seconds for r in green if isinstance(r, DrillReport) and r.restore_seconds is not None]
    if restores:
        drills = plural(len(restores), "drill")
        return median(restores), f"the median restore of {drills}, on scratch servers tuned for speed"
    return None, "no drill or rehearsal has measured it yet"


def median_restore_seconds(history: Sequence[AnyReport]) -> float | None:
    """The median measured restore of green runs; None when there is none."""
    times = [report.restore_seconds for report in history if not verdict(report)]
    known = [seconds for seconds in times if seconds is not None]
    return median(known) if known else None


def last_proven(history: Sequence[AnyReport]) -> AnyReport | None:
    """The newest green report."""
    green = (report for report in history if not verdict(report))
    return max(green, key=lambda report: report.finished_at, default=None)


def _name(key: str) -> str:
    return key.rsplit("/", 1)[-1]
