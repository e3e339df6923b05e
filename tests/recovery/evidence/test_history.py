"""What past reports say about how long a recovery takes."""

from __future__ import annotations

from datetime import timedelta

from include.recovery.evidence.history import (
    expected_duration,
    is_report,
    last_proven,
    median_restore_seconds,
    read_reports,
)
from include.recovery.evidence.report import store_report


def test_nothing_is_known_without_history():
    assert expected_duration([], "database_corruption") == (None, "no drill or rehearsal has measured it yet")
    assert median_restore_seconds([]) is None
    assert last_proven([]) is None


def test_runs_of_the_scenario_count_before_drills(drill, incident, now, phase):
    slow = incident(
        finished_at=now + timedelta(seconds=400),
        phases=(*incident().phases, phase("approve", 60, 360, waited_seconds=300)),
    )
    seconds, basis = expected_duration([drill(), incident(), slow, slow], "database_corruption")
    assert (seconds, basis) == (100, "median of 3 runs of this scenario, all rehearsals")
    seconds, basis = expected_duration([incident(mode="incident")], "database_corruption")
    assert (seconds, basis) == (60, "median of 1 run of this scenario, 1 of them in earnest")


def test_drills_say_that_they_measure_only_a_restore(drill, incident):
    history = [drill(), incident(scenario="table_corruption")]
    assert expected_duration(history, "database_corruption") == (
        40,
        "the median restore of 1 drill, on scratch servers tuned for speed",
    )


def test_red_runs_say_nothing(drill):
    assert expected_duration([drill(sources=())], "database_corruption")[0] is None
    assert median_restore_seconds([drill(sources=())]) is None
    assert last_proven([drill(sources=())]) is None


def test_reports_are_read_newest_and_oldest_first(store, signer, drill, incident, now):
    for week in range(4):
        at = now + timedelta(weeks=week)
        store_report(store, signer, drill(started_at=at, finished_at=at + timedelta(seconds=60)), now)
    later = now + timedelta(weeks=2, days=1)
    store_report(store, signer, incident(started_at=later, finished_at=later + timedelta(seconds=60)), now)
    store.put("labdojo/incidents/some-run/plans/0001.json", b"{}")
    found = read_reports(store, "labdojo", most=3)
    assert [report.type for report in found] == ["drill", "incident", "drill"]
    assert found == sorted(found, key=lambda report: report.finished_at)
    assert last_proven(found) == found[-1]


def test_only_reports_are_reports():
    assert is_report("labdojo/drills/x.json")
    assert not is_report("labdojo/drills/x.html")
    assert not is_report("labdojo/incidents/run/plans/0001.json")
    assert not is_report("labdojo/main-db/x.json")
