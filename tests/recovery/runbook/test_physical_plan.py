"""What a recovery keeps and loses, told before anything is touched."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from include.recovery.errors import BackupNotFound
from include.recovery.pgbackrest.choose import choose
from include.recovery.pgbackrest.segments import Lineage
from include.recovery.pgbackrest.target import Target
from include.recovery.policy.files import load_folder, policies_folder
from include.recovery.runbook.aim import Aim
from include.recovery.runbook.physical_choice import Chosen, without_unfit
from include.recovery.runbook.physical_plan import KnownMoment, PhysicalRecovery, physical_recovery
from include.recovery.runbook.plan import Mode, RecoveryPlan
from include.recovery.runbook.planning import draft_plan
from tests.recovery.pgbackrest.conftest import FULL, INCR, START, archive, backup_json, info, name
from tests.recovery.pgbackrest.test_drill_window import point

MINUTE = timedelta(minutes=1)
INFO = info(
    backup_json(FULL, minute=2, wal=(name(2), name(2))),
    backup_json(INCR, minute=6, wal=(name(6), name(6)), prior=FULL, reference=[FULL]),
)
WHOLE = archive(range(1, 10))
NOW = START + 20 * MINUTE


def recovery(target: Target, known: KnownMoment | None = None, found=WHOLE) -> PhysicalRecovery:
    aimed = Aim(target)
    choice = choose(INFO, 1, target, found, Lineage(1))
    return physical_recovery(aimed, choice, found, Lineage(1), known=known, now=NOW)


def test_a_second_keeps_what_was_written_by_then() -> None:
    found = recovery(Target.time(START + 7 * MINUTE + timedelta(seconds=30)))
    assert (found.label, found.kept_until, found.exact) == (INCR, START + 7.5 * MINUTE, True)
    # From the backup's segment 6 to segment 8, the first that arrived after the moment.
    assert found.segments == 3
    assert (found.archived_until, found.archived_lsn) == (START + 9 * MINUTE, "0/A000000")
    assert found.goal().at == START + 7.5 * MINUTE


def test_a_position_is_kept_at_the_latest_when_its_segment_arrived() -> None:
    found = recovery(Target.position("0/7000100"))
    assert (found.kept_until, found.exact, found.segments) == (START + 7 * MINUTE, False, 2)
    assert (found.goal().kind, found.goal().lsn) == ("lsn", "0/7000100")


def test_the_newest_state_is_as_old_as_the_newest_segment() -> None:
    found = recovery(Target.newest())
    assert (found.kept_until, found.exact, found.segments, found.target) == (START + 9 * MINUTE, False, 4, "newest")


def test_a_point_keeps_its_name_its_place_and_its_moment() -> None:
    made = point(8, 8)
    choice = choose(INFO, 1, Aim.at(made).target, WHOLE, Lineage(1))
    found = physical_recovery(Aim.at(made), choice, WHOLE, Lineage(1), known=None, now=NOW)
    assert (found.point, found.kept_until, found.exact) == (made.name, made.at, True)
    assert found.words == f"verifiable recovery point {made.name}"
    assert found.goal() == Aim.at(made).target


@given(st.sets(st.integers(1, 12), min_size=1), st.integers(0, 13 * 60), st.sampled_from(["time", "lsn", "newest"]))
def test_whatever_is_chosen_is_told_truly(numbers: set[int], number: int, kind: str) -> None:
    found = archive(numbers)
    targets = {
        "time": Target.time(START + timedelta(seconds=number)),
        "lsn": Target.position(f"0/{number * 0x40000:X}"),
        "newest": Target.newest(),
    }
    try:
        told = recovery(targets[kind], found=found)
    except BackupNotFound:
        assume(False)
    assert told.goal() == targets[kind]
    assert told.kept_until <= NOW
    assert told.segments >= 0
    if told.archived_until is not None:
        assert told.kept_until <= told.archived_until + timedelta(seconds=1)
    assert PhysicalRecovery.model_validate_json(told.model_dump_json()) == told


@pytest.fixture
def physical_row(make_cluster_backup, folder_workspace):
    """A row of the catalog for a label."""

    def make(label: str):
        made = make_cluster_backup(START + 2 * MINUTE)
        catalog = folder_workspace.catalog()
        row = next(r for r in catalog.backups("labdojo", "main-db", "pgbackrest") if r.manifest.id == made.id)
        physical = row.manifest.physical.model_copy(update={"label": label})
        return row.model_copy(update={"manifest": row.manifest.model_copy(update={"physical": physical})})

    return make


def test_what_stands_on_a_damaged_backup_is_left_out_and_says_so(physical_row) -> None:
    full, incr = physical_row(FULL), physical_row(INCR)
    kept, why = without_unfit(INFO, 1, {FULL: full, INCR: incr}, NOW)
    assert (len(kept.backups), why) == (2, {})
    # One that the catalog does not know may be sound, but cannot be planned with; what stands on it can.
    kept, why = without_unfit(INFO, 1, {INCR: incr}, NOW)
    assert ([each.label for each in kept.backups], list(why)) == ([INCR], [FULL])
    assert "the catalog does not know it" in why[FULL]
    # In the future of this clock, the full is unfit, and with it what stands on it.
    kept, why = without_unfit(INFO, 1, {FULL: full, INCR: incr}, START)
    assert kept.backups == ()
    assert "a clock is wrong" in why[FULL]


@pytest.fixture
def planned(physical_row, facts, folder_workspace):
    """The plan of labdojo's main-db to a moment."""

    def make(found: PhysicalRecovery, mode: Mode = Mode.INCIDENT) -> RecoveryPlan:
        chosen = Chosen("main-db", physical_row(found.label), "offsite", found, ("store primary: it is down",))
        choice = chosen.choice(facts(), "point_in_time")
        system = load_folder(policies_folder()).system("labdojo")
        return draft_plan(system, "point_in_time", mode, [choice], run="r", requester="grace", now=NOW)

    return make


@pytest.mark.demand("L15", "D6")
def test_the_approver_sees_what_is_kept_and_lost(planned) -> None:
    known = KnownMoment(name="lifeboat_7", kind="verifiable", at=START + 7 * MINUTE, heartbeat_at=START + 6 * MINUTE)
    plan = planned(recovery(Target.time(START + 7 * MINUTE), known))
    (source,) = plan.sources
    assert (source.method, source.loss_seconds, source.snapshot_at) == ("point_in_time", 13 * 60, START + 7 * MINUTE)
    assert source.safety_copy.startswith("labdojo_before_")
    text = plan.in_words()
    for words in (
        "(labdojo): point in time",
        "that second: everything that was committed by 2026-11-21 08:07:00 CET",
        f"({INCR}) of 2026-11-21 08:06:00 CET, in store offsite",
        "2 segments of its log at most (32.0 MiB)",
        "it reaches beyond verifiable recovery point lifeboat_7 of 2026-11-21 08:07:00 CET",
        ", heartbeat of 2026-11-21 08:06:00 CET",
        "is recovered on a scratch server first; database `labdojo` is copied from there and compared row by row",
        "what was written after 2026-11-21 08:07:00 CET, 13 min when this plan was made (objective 15 min)",
        "rows of unlogged tables, which no log brings back",
        "archived without a gap until 2026-11-21 08:09:00 CET, LSN 0/A000000",
        "renamed to `labdojo_before_",
        "main-db: store primary: it is down",
    ):
        assert words in text, text
    assert RecoveryPlan.model_validate_json(plan.model_dump_json()).digest == plan.digest


def test_an_estimate_is_called_one_and_a_late_point_is_marked(planned) -> None:
    text = planned(recovery(Target.position("0/4000100"))).in_words()
    assert "LSN 0/4000100: everything that was committed by about 2026-11-21 08:04:00 CET" in text
    assert "16 min when this plan was made (**over the objective of** 15 min)" in text


def test_another_target_is_another_plan(planned) -> None:
    one = planned(recovery(Target.time(START + 7 * MINUTE)))
    other = planned(recovery(Target.time(START + 7 * MINUTE + timedelta(seconds=1))))
    assert one.digest != other.digest
