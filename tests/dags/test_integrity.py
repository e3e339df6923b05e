"""Every DAG that the shipped policies make: it loads, says what it is for, and follows the house's rules."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.sdk import DAG, TriggerRule
from airflow.serialization.serialized_objects import DagSerialization

from include.recovery.policy.files import load_folder
from include.recovery.policy.models import PostgresSource
from include.recovery.policy.pools import pool_of, pools
from recovery_airflow.dag_catalogue import PAGE, catalogue
from recovery_airflow.dag_defaults import RETRY_POLICY, Tag
from recovery_airflow.drill_graph import drill_clusters
from recovery_airflow.operators.archive import ReplayProofOperator
from recovery_airflow.operators.logical_backup import PgDumpOperator
from recovery_airflow.operators.logical_restore import PgRestoreOperator
from recovery_airflow.operators.physical_backup import PgBackRestBackupOperator, PgBackRestCheckOperator
from recovery_airflow.operators.policy_approval import ANSWERS
from recovery_airflow.operators.recovery_point import RecoveryPointOperator
from recovery_airflow.operators.verdict import VerdictOperator
from recovery_airflow.trigger_form import drill_form

ROOT = Path(__file__).parents[2]
POLICIES = load_folder(ROOT / "include" / "policies")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")


def test_each_policy_has_its_dags(dags: dict[str, DAG]) -> None:
    expected = {"disaster_recovery", "watchdog"}
    for system in POLICIES.systems.values():
        name = system.system
        expected |= {f"replicate__{name}", f"retention__{name}", f"disaster_recovery__{name}"}
        expected |= {f"backup__{name}__{tier.name}" for tier in system.tiers}
        expected |= {f"drill__{name}__{cadence}" for cadence in system.drills}
        if any(source.physical and source.physical.restore_points for source in system.sources):
            expected.add(f"recovery_point__{name}")
        if any(source.wal for source in system.sources):
            expected.add(f"wal_archive__{name}")
        if any(source.wal and source.wal.replay_proof for source in system.sources):
            expected.add(f"replay_proof__{name}")
    assert "recovery_point__ksrce-lab" not in expected, "its log is not archived"
    assert set(dags) == expected


def test_no_dump_is_taken_for_a_tier_of_the_cluster(dags: dict[str, DAG]) -> None:
    """A dump in the graph of a physical tier or drill would prove the wrong thing; and the other way round."""
    physical, logical = set(), set()
    for system in POLICIES.systems.values():
        for tier in system.tiers:
            (physical if tier.is_physical else logical).add(f"backup__{system.system}__{tier.name}")
        physical |= {f"drill__{system.system}__{name}" for name, drill in system.drills.items() if drill.is_physical}
    assert {"backup__labdojo__weekly-full", "backup__aiaas__hourly", "drill__labdojo__monthly"} <= physical
    for kind in (PgDumpOperator, PgRestoreOperator):
        made = {dag_id for dag_id, dag in dags.items() if any(isinstance(task, kind) for task in dag.tasks)}
        assert made
        assert not physical & made
    taken = PgBackRestBackupOperator
    cluster = {dag_id for dag_id, dag in dags.items() if any(isinstance(task, taken) for task in dag.tasks)}
    assert cluster
    assert not cluster & logical


def test_each_store_of_a_tier_gets_a_backup_of_the_cluster_and_a_check_of_it(dags: dict[str, DAG]) -> None:
    for system in POLICIES.systems.values():
        for tier in (tier for tier in system.tiers if tier.is_physical):
            dag = dags[f"backup__{system.system}__{tier.name}"]
            wanted = {(source, store) for source in tier.sources for store in tier.stores}
            backups = [task for task in dag.tasks if isinstance(task, PgBackRestBackupOperator)]
            checks = {(t.source, t.store): t for t in dag.tasks if isinstance(t, PgBackRestCheckOperator)}
            assert {(task.source, task.store) for task in backups} == wanted == set(checks)
            announce = dag.get_task("announce")
            for task in backups:
                check = checks[task.source, task.store]
                assert task.task_id in check.upstream_task_ids
                assert check.task_id in announce.upstream_task_ids
                assert check.read_back is (tier.method == "full")
            assert [asset.name for asset in announce.outlets] == [f"backups__{system.system}"]


def test_backups_of_one_cluster_wait_for_each_other(dags: dict[str, DAG]) -> None:
    """pgBackRest has one lock for each stanza: an hourly increment that meets the daily full must queue, not fail."""
    slots = pools(POLICIES)
    for dag in dags.values():
        for task in (task for task in dag.tasks if isinstance(task, PgBackRestBackupOperator)):
            assert task.pool == f"cluster__{task.system}__{task.source}"
            assert slots[task.pool]["slots"] == task.pool_slots == 1


def test_every_dag_says_what_it_is_for_and_what_to_do(dags: dict[str, DAG]) -> None:
    headings = ("### Purpose", "### Schedule", "### What a failure means", "### What to do")
    silent = {dag_id: [h for h in headings if h not in (dag.doc_md or "")] for dag_id, dag in dags.items()}
    assert {dag_id: missing for dag_id, missing in silent.items() if missing} == {}


def test_tags_come_from_the_enum_or_name_a_system(dags: dict[str, DAG]) -> None:
    known = {tag.value for tag in Tag} | {f"system:{name}" for name in POLICIES.systems}
    for dag in dags.values():
        assert set(dag.tags) <= known
        assert len(set(dag.tags) & {tag.value for tag in Tag}) == 1


def test_one_run_at_a_time_and_nothing_made_up(dags: dict[str, DAG]) -> None:
    for dag in dags.values():
        assert dag.max_active_runs == 1, dag.dag_id
        assert dag.catchup is False, dag.dag_id
        assert dag.is_paused_upon_creation is False, f"{dag.dag_id} would silently never run"


def test_schedules_are_in_the_systems_own_time_zone(dags: dict[str, DAG]) -> None:
    for system in POLICIES.systems.values():
        for tier in system.tiers:
            timetable = dags[f"backup__{system.system}__{tier.name}"].timetable
            assert timetable.expression == tier.cron
            assert str(timetable.timezone) == f"Timezone('{system.time_zone}')" or system.time_zone in str(
                timetable.timezone
            )


@pytest.mark.demand("R1")
def test_rylies_daily_dump_is_taken_between_two_and_four_in_the_night(dags: dict[str, DAG]) -> None:
    dag = dags["backup__rylie-ai__daily"]
    minute, hour, *every = dag.timetable.expression.split()
    assert 2 <= int(hour) + int(minute) / 60 <= 4
    assert every == ["*", "*", "*"]


@pytest.mark.demand("K7")
def test_every_source_is_drilled_on_a_schedule(dags: dict[str, DAG]) -> None:
    for system in POLICIES.systems.values():
        drilled = {source for drill in system.logical_drills.values() for source in drill.sources}
        assert drilled == {source.name for source in system.sources}
        recovered = {source for drill in system.drills.values() if drill.is_physical for source in drill.sources}
        clusters = recovered & {source.name for source in system.databases}
        assert clusters == {source.name for source in system.sources if source.physical}
        for cadence, drill in system.drills.items():
            timetable = dags[f"drill__{system.system}__{cadence}"].timetable
            assert timetable.expression == drill.cron


def test_a_drill_of_a_cluster_shows_each_of_its_steps_and_tears_down(dags: dict[str, DAG]) -> None:
    dag = dags["drill__labdojo__monthly"]
    steps = [task.task_id.removesuffix("__main-db") for task in dag.topological_sort()]
    others = {step for step in steps if step.startswith("copies.")}
    assert {"copies.make_room", "copies.load__documents", "copies.compare__documents", "copies.discard"} <= others
    assert set(steps) - others == {
        "choose.check_archive", "choose.pick_point", "scratch.make_room", "restore.recover_point", "verify.compare",
        "verify.query", "pages.check_structure", "pages.check_checksums", "second.pick_second",
        "second.recover_second", "second.check_heartbeat", "scratch.stop", "report", "verdict",
    }  # fmt: skip
    room, stop = dag.get_task("scratch.make_room"), dag.get_task("scratch.stop")
    assert (room.is_setup, stop.is_teardown, stop.sources) == (True, True, ("main-db",))
    for name, upstream in {
        # What is missing in the archive is told beside the recovery, which finds out what can be recovered anyway.
        "choose.check_archive": set(),
        "restore.recover_point": {"choose.pick_point", "scratch.make_room"},
        "verify.compare": {"restore.recover_point"},
        "verify.query": {"restore.recover_point"},
    }.items():
        found = {task_id.removesuffix("__main-db") for task_id in dag.get_task(f"{name}__main-db").upstream_task_ids}
        assert found - {"choose.pick_point"} == upstream - {"choose.pick_point"}, name
    behind = dag.get_task("restore.recover_point__main-db").get_flat_relative_ids(upstream=False)
    assert {"pages.check_checksums__main-db", "second.recover_second__main-db", "scratch.stop", "report"} <= behind
    second = dag.get_task("second.recover_second__main-db")
    assert second.upstream_task_ids == {"second.pick_second__main-db", "pages.check_checksums__main-db"}
    assert {task.store for task in dag.tasks if hasattr(task, "store")} == {"offsite"}
    # One wrong thing keeps no other from being found; without a copy, or a second, there is nothing to look at.
    for name in ("pages.check_structure", "pages.check_checksums", "second.recover_second"):
        assert dag.get_task(f"{name}__main-db").trigger_rule == TriggerRule.ALL_DONE_MIN_ONE_SUCCESS, name
    for name in ("pages.check_structure", "pages.check_checksums"):
        assert "restore.recover_point__main-db" in dag.get_task(f"{name}__main-db").upstream_task_ids


@pytest.mark.parametrize("wish", ["newest point", "random second"])
def test_a_drill_of_random_seconds_leaves_out_the_point(wish: str) -> None:
    system = POLICIES.systems["labdojo"]
    drill = system.drills["monthly"].model_copy(update={"recovery_point": wish})
    with DAG("drill__labdojo__monthly", params=drill_form(wish)) as dag:
        drill_clusters(system, "monthly", drill)
    names = {
        task.task_id.rpartition(".")[2].partition("__")[0]
        for task in dag.tasks
        if not task.task_id.startswith("copies.")
    }
    seconds = {"pick_second", "recover_second", "check_heartbeat"}
    always = {"check_archive", "make_room", *seconds, "stop", "report", "verdict"}
    of_points = {"pick_point", "recover_point", "compare", "query", "check_structure", "check_checksums"}
    assert names == always | (of_points if wish == "newest point" else set())
    assert bool(dag.params) is (wish == "newest point")


def test_retention_shows_its_plan_before_it_removes_anything(dags: dict[str, DAG]) -> None:
    for system in POLICIES.systems.values():
        dag = dags[f"retention__{system.system}"]
        stores = {store for tier in system.tiers for store in tier.stores}
        removing = {task.task_id for task in dag.tasks if task.task_id.startswith("expire.")}
        assert removing == {f"expire.remove__{store}" for store in stores}
        for store in stores:
            assert dag.get_task(f"expire.remove__{store}").upstream_task_ids == {f"decide.plan__{store}"}
        _, hour, *every = dag.timetable.expression.split()
        assert (int(hour), every) == (6, ["*", "*", "*"])
        assert system.time_zone in str(dag.timetable.timezone)
        assert dag.params["dry_run"] is False


def test_points_are_made_hourly_where_the_log_is_archived(dags: dict[str, DAG]) -> None:
    for system in POLICIES.systems.values():
        sources = {source.name for source in system.sources if source.physical}
        if not sources:
            continue
        dag = dags[f"recovery_point__{system.system}"]
        points = {task.source: task for task in dag.tasks if isinstance(task, RecoveryPointOperator)}
        assert set(points) == sources
        assert dag.timetable.expression == "0 * * * *"
        for source, task in points.items():
            assert task.pool == pool_of(system.system, source), "beside a backup, it would read the same tables"


def test_a_point_is_made_after_each_backup_of_a_source_whose_log_is_archived(dags: dict[str, DAG]) -> None:
    for system in POLICIES.systems.values():
        pointed = {source.name for source in system.sources if source.physical and source.physical.restore_points}
        for tier in system.tiers:
            dag = dags[f"backup__{system.system}__{tier.name}"]
            points = {task.source: task for task in dag.tasks if isinstance(task, RecoveryPointOperator)}
            assert set(points) == pointed & set(tier.sources), dag.dag_id
            for source, task in points.items():
                made = {t.task_id for t in dag.tasks if t.task_id.startswith("back_up.") and t.source == source}
                assert task.upstream_task_ids == made, "of the newest backup, in every store"
                assert task.downstream_task_ids == {"verdict"}, "without a point, a good backup is copied all the same"
                assert task.pool == pool_of(system.system, source)


@pytest.mark.demand("A6")
def test_the_runbook_shows_its_steps_by_name(dags: dict[str, DAG]) -> None:
    """Identify, stop the services, restore, verify, restart, validate; and what Lifeboat puts between."""
    tasks = [task.task_id for task in dags["disaster_recovery__aiaas"].topological_sort()]
    phases = list(dict.fromkeys(task_id.partition(".")[0] for task_id in tasks))
    assert phases == [
        "declare", "assess", "approve", "stage", "isolate", "safeguard", "provision",
        "restore", "verify", "resume", "validate", "close",
    ]  # fmt: skip


@pytest.mark.demand("L32")
def test_the_button_takes_critical_systems_first(dags: dict[str, DAG]) -> None:
    button = dags["disaster_recovery"]
    for system in POLICIES.systems.values():
        task = button.get_task(f"priority_{system.priority}.recover__{system.system}")
        before = {name.rpartition("__")[2] for name in task.get_flat_relative_ids(upstream=True)}
        assert before == {s.system for s in POLICIES.systems.values() if s.priority < system.priority}


def test_every_task_can_survive_a_killed_worker(dags: dict[str, DAG]) -> None:
    """A killed worker is not asked about its exception: only ``retries`` counts then."""
    for dag in dags.values():
        for task in dag.tasks:
            assert task.retries >= 1, f"{dag.dag_id}.{task.task_id}"
            assert task.retry_policy in (RETRY_POLICY, ANSWERS), f"{dag.dag_id}.{task.task_id}"
            assert task.owner == "lifeboat"
            assert task.on_failure_callback, f"{dag.dag_id}.{task.task_id} fails in silence"
            if not task.task_id.startswith("approve."):
                assert task.execution_timeout is not None
                assert task.execution_timeout <= timedelta(hours=24)


def test_every_dag_ends_in_its_verdict_alone(dags: dict[str, DAG]) -> None:
    for dag in dags.values():
        leaves = [task for task in dag.tasks if not task.downstream_task_ids]
        assert [type(task) for task in leaves] == [VerdictOperator], dag.dag_id
        assert leaves[0].trigger_rule == TriggerRule.ALL_DONE


def test_only_reports_verdicts_and_the_button_run_over_failures(dags: dict[str, DAG]) -> None:
    """Whatever overwrites needs the success of every step before it."""
    tolerant = {"report", "verdict", "stop", "discard", "remove_stand_in"}
    # Of a drill's copy on its scratch server, each wrong thing shall be found, and not the first alone.
    looking = {"check_structure", "check_checksums", "recover_second"}
    for dag in dags.values():
        if dag.dag_id == "disaster_recovery":
            continue
        for task in dag.tasks:
            if task.trigger_rule != TriggerRule.ALL_SUCCESS:
                verb = task.task_id.rpartition(".")[2].partition("__")[0]
                allowed = tolerant | (looking if dag.dag_id.startswith("drill__") else set())
                assert verb in allowed, f"{dag.dag_id}.{task.task_id}"


def test_teardowns_colour_the_run(dags: dict[str, DAG]) -> None:
    torn = [(dag, task) for dag in dags.values() for task in dag.tasks if task.is_teardown]
    # A drill tears the scratch server of its databases down, the folder of its copies, and each instance of a service.
    rooms = [
        {source.name if source.kind == "rds" else isinstance(source, PostgresSource) for source in drilled}
        for system in POLICIES.systems.values()
        for drilled in map(system.sources_of, system.drills.values())
    ]
    runbooks = sum(dag_id.startswith("disaster_recovery__") for dag_id in dags)
    assert len(torn) == runbooks + sum(map(len, rooms))
    for dag, task in torn:
        assert task.on_failure_fail_dagrun, f"{dag.dag_id}.{task.task_id}"


def test_every_pool_exists(dags: dict[str, DAG]) -> None:
    named = {task.pool for dag in dags.values() for task in dag.tasks}
    assert named <= set(pools(POLICIES)) | {"default_pool"}


def test_ids_are_phases_and_verbs(dags: dict[str, DAG]) -> None:
    shape = re.compile(r"^([a-z_0-9]+\.)?[a-z]+(_[a-z]+)*(__[a-z0-9-]+){0,2}$")
    assert [t.task_id for dag in dags.values() for t in dag.tasks if not shape.match(t.task_id)] == []


def test_dags_survive_serialization(dags: dict[str, DAG]) -> None:
    for dag in dags.values():
        DagSerialization.to_dict(dag)


def test_dag_files_fit_two_screens() -> None:
    long = {path.name: n for path in (ROOT / "dags").glob("*.py") if (n := path.read_text().count("\n")) > 110}
    assert long == {}


def test_the_catalogue_of_dags_is_current(dags: dict[str, DAG]) -> None:
    assert catalogue(dags.values()) == PAGE.read_text(encoding="utf-8"), "run `make docs`"


@pytest.mark.demand("L26")
def test_the_watchdog_looks_every_five_minutes_at_all_systems_in_one_task(dags: dict[str, DAG]) -> None:
    dag = dags["watchdog"]
    assert dag.timetable.expression == "*/5 * * * *"
    assert [task.task_id for task in dag.topological_sort()] == ["watch", "verdict"]


def test_each_archive_is_looked_through_every_hour_and_replayed_where_the_policy_says_so(dags: dict[str, DAG]) -> None:
    for system in POLICIES.systems.values():
        for source in system.sources:
            if source.wal is None:
                continue
            dag = dags[f"wal_archive__{system.system}"]
            assert dag.timetable.expression == "0 * * * *"
            for store in system.repository_stores(source):
                assert dag.get_task(f"check.archive__{source.name}__{store}").store == store
            if source.wal.replay_proof:
                replay = dags[f"replay_proof__{system.system}"].get_task(f"replay__{source.name}")
                assert isinstance(replay, ReplayProofOperator)
    assert "replay_proof__labdojo" in dags
    assert "replay_proof__aiaas" not in dags, "its policy does not ask for one"


def test_a_run_that_takes_too_long_is_told(dags: dict[str, DAG]) -> None:
    """Airflow's deadline of a backup is its tier's grace, of a drill and a recovery the RTO."""
    kinds = ("backup__", "drill__", "disaster_recovery__")
    for dag_id, dag in dags.items():
        assert bool(dag.deadline) == dag_id.startswith(kinds), dag_id
        for deadline in dag.deadline or []:
            assert deadline.callback.path == "recovery_airflow.notifications.deadlines.tell_overdue"
            assert {"system", "what", "to_do"} == set(deadline.callback.kwargs)
    for system in POLICIES.systems.values():
        for tier in system.tiers:
            (deadline,) = dags[f"backup__{system.system}__{tier.name}"].deadline
            assert deadline.interval == tier.grace
    (deadline,) = dags["drill__labdojo__weekly"].deadline
    assert deadline.interval == timedelta(hours=24), "the longest of the classes that it restores"
    (deadline,) = dags["drill__rylie-ai__weekly"].deadline
    assert deadline.interval == timedelta(hours=4)
    (deadline,) = dags["disaster_recovery__labdojo"].deadline
    assert deadline.interval == timedelta(hours=1)
