"""What a server's databases are to the policies."""

from __future__ import annotations

from typing import Any

import pytest

from include.recovery.coverage.databases import Listing, Reached, judge_databases
from include.recovery.coverage.model import Found
from include.recovery.postgres.server import PostgresServer
from include.recovery.runbook.safeguard import safety_database, staging_database


@pytest.fixture
def reached(folder_workspace: Any) -> Reached:
    system = folder_workspace.system("labdojo")
    return Reached(system, system.sources[0], PostgresServer("db.example.com"))


def judged(reached: Reached, *names: str, empty: tuple[str, ...] = ()) -> dict[str, Found]:
    databases = {name: name.startswith("template") for name in names}
    listing = Listing("db.example.com:5432", "7", databases, frozenset(empty))
    return {found.name: found for found in judge_databases(listing, [reached])}


def test_a_database_of_a_policy_is_covered_and_any_other_is_named(reached: Reached) -> None:
    others = ("template0", "template1", "postgres", "rdsadmin")
    found = judged(reached, "labdojo", "forgotten", *others, empty=("postgres",))
    assert found["labdojo"].covered_by == ("labdojo/main-db",)
    assert [name for name, each in found.items() if each.alarming] == ["forgotten"]
    assert found["forgotten"].sentence == (
        "database forgotten of db.example.com:5432 is in no policy, so nobody backs it up; the base backups of "
        "labdojo/main-db hold it, and no drill looks at it; add a source for it, or say in 'not_protected' of "
        "platform.yaml why it may be lost"
    )


def test_the_maintenance_database_needs_a_policy_as_soon_as_somebody_keeps_a_table_in_it(reached: Reached) -> None:
    assert judged(reached, "postgres")["postgres"].alarming


def test_copies_that_lifeboat_itself_keeps_are_no_alarm(reached: Reached, utc: Any) -> None:
    at = utc(2026, 11, 21, 8, 57)
    names = (safety_database("labdojo", at), staging_database("labdojo", at))
    assert not any(each.alarming for each in judged(reached, *names).values())
    assert judged(reached, safety_database("somebody_elses", at))[safety_database("somebody_elses", at)].alarming
