"""A report as a page for people, and its place in the store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from include.recovery.errors import LifeboatError, PreconditionFailed
from include.recovery.evidence import chain, words
from include.recovery.evidence.model import DrillReport, IncidentReport, Outcome, Phase
from include.recovery.evidence.records import key_text, key_time, pretty
from include.recovery.evidence.signing import Signer
from include.recovery.evidence.verdict import missed, verdict
from include.recovery.stores.port import ObjectStore

AnyReport = DrillReport | IncidentReport
_TEMPLATES = Path(__file__).parent / "templates"
_SHOWN_OUTCOMES = {Outcome.PASSED: "passed", Outcome.FAILED: "failed", Outcome.SKIPPED: "skipped, not passed"}


@dataclass(frozen=True)
class StoredReport:
    """Where a report is.

    :param key: of the JSON; proofs name it as their evidence.
    :param page: key of the HTML page.
    :param link: key of its link in the chain.
    """

    key: str
    page: str
    link: str


def report_key(report: AnyReport) -> str:
    """Where a report belongs: its key begins with its time, so that listings are in order."""
    folder = "drills" if isinstance(report, DrillReport) else "incidents"
    what = report.drill if isinstance(report, DrillReport) else f"{report.mode}-{report.scenario}"
    attempt = f"-{report.attempt}" if report.attempt > 1 else ""
    return f"{report.system}/{folder}/{key_time(report.started_at)}-{what}-{key_text(report.run)}{attempt}.json"


def store_report(store: ObjectStore, signer: Signer, report: AnyReport, now: datetime) -> StoredReport:
    """Store a report as JSON and as a page, and chain it to the one before. Storing it again changes nothing.

    :raises LifeboatError: when another report has the same run, start and attempt.
    """
    key = report_key(report)
    page = key.removesuffix(".json") + ".html"
    objects = {key: pretty(report), page: render(report).encode()}
    for name, content in objects.items():
        _put_once(store, name, content)
    return StoredReport(key, page, chain.append(store, signer, report.system, key, objects, now=now))


def render(report: AnyReport) -> str:
    """The report as one page that needs nothing else: no script, no font, no network; light and dark."""
    failures = verdict(report)
    return _template().render(
        report=report,
        failures=failures,
        missed=missed(report),
        incident=report if isinstance(report, IncidentReport) else None,
        bars=_bars(report),
        shown=_SHOWN_OUTCOMES,
        counts={outcome: sum(1 for check in report.checks if check.outcome is outcome) for outcome in Outcome},
        at=lambda moment: words.moment(moment, report.time_zone),
        duration=words.duration,
        size=words.size,
        plural=words.plural,
    )


def _bars(report: AnyReport) -> list[tuple[Phase, float, float]]:
    """Each phase with the left edge and width of its bar, in percent of the whole."""
    begin = min([report.started_at, *(phase.started_at for phase in report.phases)])
    end = max([report.finished_at, *(phase.finished_at for phase in report.phases)])
    whole = max((end - begin).total_seconds(), 0.001)
    return [
        (phase, 100 * (phase.started_at - begin).total_seconds() / whole, max(0.4, 100 * phase.seconds / whole))
        for phase in report.phases
    ]


def _put_once(store: ObjectStore, key: str, content: bytes) -> None:
    try:
        store.put(key, content, if_absent=True)
    except PreconditionFailed:
        present, _ = store.get(key)
        if present != content:
            raise LifeboatError(
                f"store {store.name}: {key} exists with other content; evidence is never changed: "
                "report a further attempt"
            ) from None


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")
