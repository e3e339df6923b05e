"""The page shows what the report says, and needs nothing but itself."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from include.recovery.errors import LifeboatError
from include.recovery.evidence.history import read_report
from include.recovery.evidence.model import Check, Measured, Outcome, PointInTime
from include.recovery.evidence.report import render, report_key, store_report

VOID = {"meta", "br", "link", "img"}


class Balanced(HTMLParser):
    """Fails on a tag that is closed in the wrong place."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(page: str) -> str:
    parser = Balanced()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.split("</style>")[1]))


def test_a_green_drill(drill):
    text = parsed(render(drill()))
    for words in (
        "LabDojo Learning Platform: weekly drill",
        "2026-11-22 05:00:00 CET, 1 min",
        "Proven. Every phase ran",
        "within 1 h",
        "identical: 123,456 rows in 23 tables compared, every one equal",
        "every progress row has a user",
        "40 s",
    ):
        assert words in text


def test_a_drill_of_a_cluster_shows_where_it_was_aimed_and_what_was_lost(drill, evidence, now):
    aimed = PointInTime(
        point="lifeboat_1", base="20261121-070000F", archive_age_seconds=42, point_loss_seconds=75, second=now,
        second_base="20261121-070000F_20261121-080000I", second_loss_seconds=20, notes=("lifeboat_2 is too young",),
    )
    text = parsed(render(drill(sources=(evidence(kind="pgbackrest", point_in_time=aimed),))))
    for words in (
        "point lifeboat_1 , from 20261121-070000F ; going back to it would have cost 1 min 15 s at most",
        "2026-11-22 05:00:00 CET, from 20261121-070000F_20261121-080000I ; newest heartbeat in the copy 20 s before it",
        "newest WAL that recovery gets to arrived 42 s before the run began",
        "lifeboat_2 is too young",
    ):
        assert words in text
    unknown = aimed.model_copy(update={"second_loss_seconds": None, "point": ""})
    text = parsed(render(drill(sources=(evidence(point_in_time=unknown),))))
    assert "whether the copy ends there is not known" in text
    assert "going back to it" not in text


def test_what_was_skipped_is_shown_as_skipped(drill):
    check = Check(name="health page", outcome=Outcome.SKIPPED, found="no address in the policy", required=False)
    text = parsed(render(drill(checks=(check,))))
    assert "skipped, not passed no address in the policy" in re.sub(r"\s+", " ", text)
    assert "0 / 0 / 1" in text


def test_a_red_report_names_every_failure(drill):
    text = parsed(render(drill(sources=(), rto=Measured(seconds=7200, objective_seconds=3600, assumed=True))))
    assert "Not proven. 1 check failed or missing: no source was restored" in text
    assert "Objective missed. RTO missed: the recovery took 2 h, the objective is 1 h" in text
    assert "over 1 h (assumed)" in text


def test_an_incident_shows_plan_and_people(incident):
    page = render(incident(mode="incident"))
    text = parsed(page)
    assert "incident: database corruption" in text
    assert "ada (incident commander): approve" in text
    assert "### Recover &lt;LabDojo&gt;" in page
    assert "To be written in the review" in text
    assert "No approval was recorded." in parsed(render(incident(approvals=())))


def test_hostile_text_is_escaped(drill):
    page = render(drill(title="<script>alert(1)</script>", started_by='"><img src=x>'))
    assert "<script" not in page
    assert "<img" not in page


def test_the_page_is_self_contained_and_themed(drill):
    page = render(drill())
    assert not re.search(r"(src|@import|url\()", page)
    assert page.count("http") == page.count("http://127.0.0.1:8080/dags/drill/runs/1")
    assert "prefers-color-scheme: dark" in page


def test_stored_once_in_order_and_chained(store, signer, drill, now):
    stored = store_report(store, signer, drill(), now)
    assert stored.key == report_key(drill())
    assert stored.key.startswith("labdojo/drills/20261122T040000Z-weekly-scheduled__2026-11-22T04_00_00_00_00-")
    assert stored.link == "labdojo/evidence/00000001.json"
    assert read_report(store, stored.key) == drill()
    assert store_report(store, signer, drill(), now) == stored
    with pytest.raises(LifeboatError, match="evidence is never changed"):
        store_report(store, signer, drill(started_by="somebody else"), now)
    assert store_report(store, signer, drill(attempt=2), now).link == "labdojo/evidence/00000002.json"


def test_reading_what_is_no_report(store):
    store.put("labdojo/drills/x.json", b"{}")
    with pytest.raises(LifeboatError, match="is not a readable report"):
        read_report(store, "labdojo/drills/x.json")


def test_a_recovery_to_a_moment_says_where_it_went(drill, evidence):
    aimed = PointInTime(to="LSN 0/3000028", base="20261122-020000F", archive_age_seconds=40)
    text = parsed(render(drill(sources=(evidence(kind="pgbackrest", point_in_time=aimed),))))
    assert "Recovered to LSN 0/3000028: everything that was committed by 2026-11-22" in text
    assert "from 20261122-020000F and its log" in text
    assert "newest WAL that recovery gets to arrived 40 s before the run began" in text
