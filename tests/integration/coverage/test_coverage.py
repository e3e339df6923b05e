"""What exists on real servers, against what is protected and what drills have proven."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest

from include.recovery.concerns import Severity
from include.recovery.coverage.databases import Databases, Reached, servers
from include.recovery.coverage.model import Unseen
from include.recovery.stores.folder import FolderStore
from include.recovery.watchdog.alarms import AlarmBook
from include.recovery.watchdog.checks import CHECKS
from include.recovery.watchdog.look import Look
from include.recovery.watchdog.watch import Pass, watch
from tests.fixtures.servers import Kms
from tests.integration.coverage.conftest import Harbour

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

MINE = [check for check in CHECKS if check.name in {"databases", "coverage"}]


def test_a_table_born_after_the_drill_is_unproven_until_the_next_one(harbour: Harbour) -> None:
    assert harbour.states() == {"public.boats": "new", "public.crews": "new"}
    assert harbour.source().share_of_tables == 0
    first = harbour.back_up()
    assert set(harbour.states().values()) == {"backed up"}
    harbour.drill(first)
    source = harbour.source()
    assert (source.share_of_tables, source.share_of_bytes, source.share_of_rows) == (1.0, 1.0, 1.0)
    assert source.proven_in_window
    assert source.new_schemas == ()

    harbour.execute("CREATE SCHEMA born")
    harbour.execute("CREATE TABLE born.late (id int PRIMARY KEY)")
    harbour.execute("INSERT INTO born.late SELECT generate_series(1, 1000)")
    source = harbour.source()
    assert [(table.name, table.state) for table in source.unproven] == [("born.late", "new")]
    assert source.share_of_tables == 2 / 3
    assert source.share_of_bytes is not None
    assert 0 < source.share_of_bytes < 1
    assert source.new_schemas == ("born",)

    second = harbour.back_up()
    assert harbour.states()["born.late"] == "backed up", "that it is in a backup is no proof"
    source = harbour.source()
    assert source.share_of_rows == 600 / 1600
    harbour.drill(second)
    assert harbour.source().unproven == ()

    assert set(harbour.states(timedelta(days=36)).values()) == {"stale"}, "a proof does not count for ever"
    harbour.execute("DROP TABLE crews")
    assert harbour.source().gone == ("public.crews",)


def test_a_backup_that_was_only_restored_proves_nothing(harbour: Harbour) -> None:
    from include.recovery.catalog.model import Proof, ProofLevel

    manifest = harbour.back_up()
    for level in (ProofLevel.RESTORED, ProofLevel.VALIDATED):
        harbour.workspace.catalog().append_proof(manifest, Proof(
            level=level, ok=True, at=datetime.now(UTC), by="a test", store="primary", detail="",
        ))  # fmt: skip
    harbour.workspace.catalog().append_proof(manifest, Proof(
        level=ProofLevel.IDENTICAL, ok=False, at=datetime.now(UTC), by="a test", store="primary", detail="",
    ))  # fmt: skip
    source = harbour.source()
    assert source.share_of_tables == 0
    assert source.restored_at is not None
    assert source.proven_at is None


def test_what_is_excluded_and_what_is_none_of_a_backup_is_named_and_does_not_count(
    make_harbour: Callable[..., Harbour],
) -> None:
    harbour = make_harbour(source={"exclude": [{"table": "public.cache", "why": "rebuilt on start"}]})
    harbour.execute("CREATE TABLE boats (id int)")
    harbour.execute("CREATE TABLE cache (id int)")
    harbour.execute("CREATE MATERIALIZED VIEW many AS SELECT * FROM boats")
    harbour.execute("CREATE TABLE logs (at int) PARTITION BY RANGE (at)")
    harbour.execute('CREATE TABLE "logs 1" PARTITION OF logs FOR VALUES FROM (0) TO (9)')
    found = {table.name: (table.state, table.why) for table in harbour.source().tables}
    assert found["public.cache"] == ("left out", "left out: rebuilt on start")
    assert found["public.many"][0] == "left out"
    assert found['public."logs 1"'][0] == "new"
    assert "public.logs" not in found, "a partitioned table counts through its leaves"


def test_a_database_in_no_policy_is_named_unless_the_platform_says_why(make_harbour: Callable[..., Harbour]) -> None:
    harbour = make_harbour()
    extra = harbour.make_database()
    assert harbour.database(harbour.server.database).covered_by == ("depot/main-db",)
    assert harbour.database(extra).alarming
    assert any(f"database {extra} of " in sentence for sentence in harbour.look().plain()["unprotected"])  # type: ignore[attr-defined]
    assert harbour.database("template1").on_purpose == "a template, from which databases are made"

    excused = make_harbour(platform={"not_protected": [{"what": "database forgotten_*", "why": "sandboxes"}]})
    found = excused.database(extra)
    assert (found.alarming, found.on_purpose) == (False, "sandboxes")


def test_two_addresses_of_one_server_are_one_server(harbour: Harbour) -> None:
    system = harbour.workspace.system("depot")
    here = Reached(system, system.database("main-db"), harbour.server)
    socket = Reached(system, system.database("main-db"), harbour.workspace.server(system.database("main-db")))
    other = Reached(system, here.source, type(harbour.server)(
        host="localhost", port=harbour.server.port, user=harbour.server.user, password=harbour.server.password,
    ))  # fmt: skip
    (server,) = servers([here, other, socket])
    assert len(server.reached) == 3


def test_a_role_that_may_read_nothing_is_enough_to_look(make_harbour: Callable[..., Harbour]) -> None:
    role, password = f"looker_{secrets.token_hex(4)}", secrets.token_hex(8)
    admin = make_harbour()
    admin.execute("CREATE TABLE boats (id int)")
    admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
    admin.ends.callback(admin.execute, f"DROP ROLE {role}")
    login = {"host": admin.server.host, "port": admin.server.port, "login": role, "password": password}
    harbour = make_harbour(connections={"depot_backup": login})
    assert harbour.states() == {"public.boats": "new"}
    assert harbour.database(harbour.server.database).covered_by == ("depot/main-db",)
    reached = Reached(harbour.workspace.system("depot"), admin.workspace.system("depot").databases[0], admin.server)
    as_role = Reached(reached.system, reached.source, harbour.workspace.server(reached.source))
    (server,) = servers([reached, as_role])
    assert server.listing is not None
    assert server.listing.identity.isdecimal(), "the server tells anybody which cluster it is"


def test_a_server_that_does_not_answer_is_named_and_hides_nothing(make_harbour: Callable[..., Harbour]) -> None:
    harbour = make_harbour(connections={"depot_backup": {"host": "127.0.0.1", "port": 1, "login": "x"}})
    found = list(Databases().discover(harbour.workspace))
    assert [type(each) for each in found] == [Unseen]
    (source,) = harbour.look().sources
    assert "the server cannot be reached" in source.problem


def passes(harbour: Harbour, tmp_path: Path, later: timedelta = timedelta()) -> tuple[Pass, list[str]]:
    sent: list[str] = []
    book = AlarmBook([FolderStore("worker", tmp_path / "alarms")])
    look = Look.around(harbour.workspace, datetime.now(UTC) + later)
    return watch(look, book, lambda message: sent.append(message.text) or True, checks=MINE), sent


def test_the_watchdog_tells_once_of_a_database_in_no_policy(harbour: Harbour, tmp_path: Path) -> None:
    extra = harbour.make_database()
    done, sent = passes(harbour, tmp_path)
    (alarm,) = (each for each in done.on if each.cause == f"database {extra}")
    assert alarm.grade is Severity.CRITICAL
    assert [message for message in sent if extra in message]
    assert [message for message in passes(harbour, tmp_path)[1] if extra in message] == []
    harbour.drop_database(extra)
    done, sent = passes(harbour, tmp_path)
    assert f"database {extra}" not in {each.cause for each in done.on}
    assert [message for message in sent if extra in message], "and once that it is over"


def test_the_watchdog_notes_new_tables_and_warns_of_proofs_that_ran_out(harbour: Harbour, tmp_path: Path) -> None:
    def share(later: timedelta = timedelta()) -> list[tuple[Severity, str]]:
        done = passes(harbour, tmp_path, later)[0]
        return [(each.grade, each.sentence) for each in done.on if each.cause in {"coverage", "not seen"}]

    assert share() == [], "that there is no backup at all is told elsewhere"
    harbour.drill(harbour.back_up())
    assert share() == []
    harbour.execute("CREATE TABLE late (id int)")
    harbour.execute("INSERT INTO late VALUES (1)")
    ((grade, sentence),) = share()
    assert grade is Severity.NOTE
    assert "1 table not: public.late" in sentence
    ((grade, sentence),) = share(timedelta(days=36))
    assert (grade, "0% of its bytes" in sentence) == (Severity.WARNING, True)


def test_buckets_in_no_policy_are_named(make_harbour: Callable[..., Harbour], kms: Kms) -> None:
    extra = dict(kms.connection.extra)
    client = boto3.client("s3", **extra, aws_access_key_id="a", aws_secret_access_key="b")
    ours, copies, theirs = (f"{name}-{secrets.token_hex(4)}" for name in ("lifeboat", "copies", "uploads"))
    for name in (ours, copies, theirs):
        client.create_bucket(Bucket=name)
    place = {"site": "east", "medium": "object-store", "provider": "moto"}
    store = {"kind": "s3", "connection": "s3", "bucket": ours, "region": "us-east-1", **place}
    offsite = store | {"bucket": copies, "replication": "copy"}
    login = {"login": "a", "password": "b", "extra": extra}
    harbour = make_harbour(platform={"stores": {"primary": store, "offsite": offsite}}, connections={"s3": login})
    found = {each.name: each for each in harbour.look().found if each.kind == "bucket"}
    assert found[ours].covered_by == ("repository of store primary", "store primary")
    assert found[theirs].alarming

    blind = make_harbour(
        platform={"stores": {"primary": store, "offsite": offsite | {"bucket": "not-there"}}}, connections={"s3": login}
    )
    (unseen,) = (each for each in blind.look().unseen if each.kind == "bucket")
    assert "no user of a connection sees not-there, so there may be others that nobody sees" in unseen.why
