"""The plan's digest changes with everything in it, and its words say what the approver has to know."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from include.recovery.runbook.plan import Expectation, Mode, RecoveryPlan
from include.recovery.runbook.safeguard import NAME_BYTES, safety_database, staging_database
from include.recovery.runbook.target import Session


def test_digest_is_of_the_content(plan, now):
    assert plan().digest == plan().digest
    assert RecoveryPlan.model_validate_json(plan().model_dump_json()).digest == plan().digest
    others = [
        plan(mode=Mode.REHEARSAL),
        plan(run="another"),
        plan(requester=None),
        plan(made_at=now + timedelta(seconds=1)),
        plan(tables=("public.users",)),
    ]
    assert len({plan().digest, *(other.digest for other in others)}) == len(others) + 1


def test_words_for_an_incident(plan, facts, now):
    target = facts(
        sessions=(
            Session(pid=1, user="app"),
            Session(pid=2, user="x", application="lifeboat"),
        )
    )
    text = plan(target=target).in_words()
    assert text.startswith("### Recover LabDojo Learning Platform (labdojo): database corruption")
    for words in (
        "**Incident. Live data will be replaced.** Asked for by grace at 2026-11-21 03:12:00 CET",
        "database `labdojo` on db.example:5432 (system identifier 7300000000000000001): 214 MiB in 23 tables",
        "1 live session",
        "proven identical on 2026-11-21 03:07:00 CET",
        "renamed to `labdojo_before_20261121t021200z`; nothing is deleted",
        "12 min when this plan was made (objective 15 min)",
        "About 3 min 20 s, median of 5 runs of this scenario, all rehearsals (objective 1 h)",
        "1 person with the role incident commander: ada and eve; not grace, who asked for it",
        "an approval holds for 30 min",
        "Nothing is touched",
    ):
        assert words in text


def test_words_are_honest_about_what_is_not_known(plan):
    text = plan(expected=Expectation()).in_words()
    assert "Not known: no drill or rehearsal has measured it yet; the objective is 1 h" in text


def test_words_for_an_unproven_and_late_point(plan):
    source = (
        plan()
        .sources[0]
        .model_copy(
            update={
                "proven_at": None,
                "loss_seconds": 1800.0,
                "passed_over": ("20261121T021000Z-1: damaged: part missing",),
            }
        )
    )
    text = plan(sources=(source,)).in_words()
    assert "**never proven by a restore**" in text
    assert "30 min when this plan was made (**over the objective of** 15 min)" in text
    assert "main-db: 20261121T021000Z-1: damaged: part missing" in text


def test_words_for_tables_and_for_a_rehearsal(plan):
    text = plan(tables=("public.users", "public.tasks"), mode=Mode.REHEARSAL).in_words()
    assert "**Rehearsal.** Only a scratch server is written to" in text
    assert "would be: `public.users` and `public.tasks` in database `labdojo`" in text
    assert "in schema `labdojo_before_20261121t021200z` of the same database" in text
    assert "its approval is worth nothing in an incident" in text


@settings(database=None, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=63))
def test_safety_names_fit_and_are_stable(database):
    at = datetime(2026, 11, 21, 2, 12, tzinfo=UTC)
    for name in (safety_database(database, at), staging_database(database, at)):
        assert len(name.encode()) <= NAME_BYTES
    assert safety_database(database, at) == safety_database(database, at)
    assert safety_database("labdojo", at) == "labdojo_before_20261121t021200z"
