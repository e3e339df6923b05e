"""The whole path by hand, with least-privilege roles: prepare, backup, verify, restore, compare, status."""

from __future__ import annotations

import json

import pytest

from include.recovery.evidence.once import written_once

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture
def backed_up(protected):
    protected.run("prepare", protected.name, "--admin", "admin")
    protected.run("backup", protected.name, "--note", "before upgrade", "--hold")
    return protected


def newest(system):
    return json.loads(system.run("show", system.name, "--json").stdout)


@pytest.mark.demand("D3")
def test_a_backup_by_hand_is_proven_by_hand(backed_up):
    found = newest(backed_up)
    assert (found["note"], found["hold"], found["level"]) == ("before upgrade", True, "stored")
    result = backed_up.run("verify", backed_up.name, "--restore")
    assert "SHA-512 as written" in result.stderr
    assert "identical: 2,500 rows in 3 tables compared" in result.stderr  # users, tasks, and the heartbeat
    assert newest(backed_up)["level"] == "identical"
    (row,) = json.loads(backed_up.run("status", "--json").stdout)
    assert (row["copies"], row["rpo_met"], row["proven_at"] is not None) == (1, True, True)


def test_restore_goes_beside_by_default(backed_up):
    name = f"{backed_up.live.database}_copy"
    backed_up.query("DELETE FROM public.tasks")
    result = backed_up.run("restore", backed_up.name, "--into", name)
    assert "identical: 2,500 rows" in result.stderr
    assert backed_up.query("SELECT count(*) FROM public.tasks", name) == 2000
    assert backed_up.query("SELECT count(*) FROM public.tasks") == 0
    refused = backed_up.run("restore", backed_up.name, "--into", name, expect=4)
    assert "is not empty: it holds 2 tables" in refused.stderr


@pytest.mark.demand("L24")
def test_compare_says_what_differs(backed_up):
    name = f"{backed_up.live.database}_copy"
    backed_up.run("restore", backed_up.name, "--into", name, "--no-compare")
    backed_up.query("UPDATE public.users SET name = 'nobody' WHERE id = 7", name)
    result = backed_up.run("compare", backed_up.name, "--with", name, expect=3)
    assert "public.users" in result.stderr
    assert newest_damaged(backed_up)
    # A live database goes on changing; that is no proof against the backup.


def newest_damaged(system):
    return json.loads(system.run("list", system.name, "--json").stdout)["backups"][-1]["damaged"]


def test_comparing_with_the_live_database_leaves_no_proof(backed_up):
    assert "identical" in backed_up.run("compare", backed_up.name).stderr
    backed_up.query("DELETE FROM public.tasks WHERE id = 1")
    assert "public.tasks" in backed_up.run("compare", backed_up.name, expect=3).stderr
    assert not newest_damaged(backed_up)
    assert newest(backed_up)["proofs"] == []


def test_tables_go_into_a_new_schema(backed_up):
    result = backed_up.run("restore", backed_up.name, "--tables", "public.users", "--into", "rescued")
    assert "public.users is restored as rescued.users: 500 rows" in result.stderr
    assert backed_up.query("SELECT count(*) FROM rescued.users") == 500
    assert backed_up.run("restore", backed_up.name, "--tables", "public.nothing", "--into", "x", expect=6)


def test_the_bucket_and_the_escrow_key_are_enough(backed_up):
    name = f"{backed_up.live.database}_from_bucket"
    live = backed_up.live
    server = {"PGHOST": live.host, "PGPORT": str(live.port), "PGUSER": live.user, "PGPASSWORD": live.password}
    result = backed_up.run(
        "--store-url", "s3://lifeboat-primary", "--key", str(backed_up.escrow_key),
        "restore", backed_up.name, "--into", name,
        bare=True, **backed_up.bucket_environment, **server,
    )  # fmt: skip
    assert "identical: 2,500 rows" in result.stderr
    assert backed_up.query("SELECT count(*) FROM public.users", name) == 500


def test_over_live_needs_somebody_elses_signature(backed_up):
    database = backed_up.live.database
    backed_up.query("UPDATE public.users SET name = 'corrupt'")
    over = ("restore", backed_up.name, "--over-live", "--as", "grace")
    waiting = backed_up.run(*over, expect=4)
    assert "needs the signed approval of 1 person with the role incident_commander" in waiting.stderr
    assert "renamed to" in waiting.stderr
    own = backed_up.run(*over, "--approve", "grace", typed=f"{database}\n", expect=4)
    assert "grace asked for this recovery" in own.stderr
    stranger = backed_up.run(*over, "--approve", "mallory", typed=f"{database}\n", expect=4)
    assert "mallory does not hold the role" in stranger.stderr
    mistyped = backed_up.run(*over, "--approve", "ada", typed="another\n", expect=4)
    assert "nothing was approved" in mistyped.stderr
    assert backed_up.query("SELECT count(*) FROM public.users WHERE name = 'corrupt'") == 500
    done = backed_up.run(*over, "--approve", "ada", typed=f"{database}\n")
    assert "may be overwritten by backup" in done.stderr
    assert backed_up.query("SELECT count(*) FROM public.users WHERE name = 'corrupt'") == 0
    kept = backed_up.query(f"SELECT datname FROM pg_database WHERE datname LIKE '{database}_before_%'")
    assert kept is not None
    backed_up.query(f'ALTER DATABASE "{kept}" ALLOW_CONNECTIONS true', "postgres")
    assert backed_up.query("SELECT count(*) FROM public.users WHERE name = 'corrupt'", kept) == 500


def test_an_approval_may_come_later_and_a_run_is_done_once(backed_up, object_stores):
    database = backed_up.live.database
    backed_up.run("restore", backed_up.name, "--over-live", "--as", "grace", expect=4)
    keys = written_once(object_stores.primary, f"{backed_up.name}/incidents/")
    (run,) = {key.split("/")[2] for key in keys}
    later = ("restore", backed_up.name, "--over-live", "--run", run)
    backed_up.run(*later, expect=4)
    backed_up.query("DELETE FROM public.tasks")
    backed_up.run(*later, "--approve", "ada", typed=f"{database}\n")
    assert backed_up.query("SELECT count(*) FROM public.tasks") == 2000
    assert "has been done already" in backed_up.run(*later, expect=4).stderr


def test_rows_of_tables_over_live(backed_up):
    backed_up.query("UPDATE public.tasks SET title = 'corrupt'")
    backed_up.query("UPDATE public.users SET name = 'renamed since' WHERE id = 1")
    backed_up.run(
        "restore", backed_up.name, "--over-live", "--tables", "public.tasks", "--as", "grace", "--approve", "ada",
        typed=f"{backed_up.live.database}\n",
    )  # fmt: skip
    assert backed_up.query("SELECT count(*) FROM public.tasks WHERE title = 'corrupt'") == 0
    assert backed_up.query("SELECT name FROM public.users WHERE id = 1") == "renamed since"
    schema = backed_up.query("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'lifeboat_before_%'")
    assert schema is not None


def test_a_server_that_is_down_is_said(backed_up):
    path = backed_up.folder / "connections.json"
    connections = json.loads(path.read_text())
    connections[f"{backed_up.name.replace('-', '_')}_backup"]["port"] = 1
    path.write_text(json.dumps(connections))
    assert "cannot be reached" in backed_up.run("backup", backed_up.name, expect=5).stderr
