"""Back to a second: the row written before is there, the one after is not, and a changed row of the copy is found."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner, Result

from include.recovery.catalog.model import ProofLevel
from include.recovery.catalog.points import RecoveryPoint, RecoveryPoints
from include.recovery.cli.app import app
from include.recovery.errors import BackupNotFound
from include.recovery.evidence.model import Outcome
from include.recovery.pgbackrest import commands
from include.recovery.postgres.recovery_point import make_point
from include.recovery.postgres.scratch import ScratchServer
from include.recovery.runbook.methods import method_for
from include.recovery.runbook.methods.port import Job, Wanted
from include.recovery.runbook.physical_choice import choose_physical
from include.recovery.runbook.plan import Mode, RecoveryPlan
from include.recovery.runbook.planning import Choice, draft_plan
from include.recovery.runbook.safeguard import staging_database
from tests.integration.runbook.conftest import ZONE, Quay, notes, run_of
from tests.recovery.conftest import EscrowKey

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
METHOD = method_for("point_in_time")


@dataclass(frozen=True)
class Lived:
    """What has happened on the quay: a backup, a row, the moment, another row, a point, one more row."""

    backup: str
    started: datetime
    moment: datetime
    lsn: str
    point: RecoveryPoint


def now() -> datetime:
    return datetime.now(UTC)


def choose(quay: Quay, wish: str) -> Choice:
    return METHOD.choose(Wanted(quay.workspace, quay.system, quay.source, wish, (), now, lambda _: None))


def planned(quay: Quay, wish: str, mode: Mode = Mode.REHEARSAL) -> RecoveryPlan:
    return draft_plan(
        quay.system, "point_in_time", mode, [choose(quay, wish)], run="a-run", requester="grace", now=now()
    )


def job_of(quay: Quay, plan: RecoveryPlan) -> Job:
    """The copy is made beside the live database, on the same server."""
    staging = quay.database.with_database(staging_database("quay", plan.made_at))
    return Job(
        quay.workspace, plan, plan.sources[0], staging, quay.scratch(), run_of(), threading.Event(), now
    )


@pytest.fixture(scope="module")
def lived(quay: Quay) -> Lived:
    started = now()
    with quay.beating():
        backup = quay.back_up()
        quay.back_up("offsite")
        time.sleep(1)
        quay.note("before")
        moment = quay.sql("SELECT clock_timestamp()").astimezone(UTC)
        lsn = quay.sql("SELECT pg_current_wal_insert_lsn()::text")
        time.sleep(1.1)
        quay.note("after")
        point = make_point(quay.database, quay.name, "main-db")
        assert point.kind == "verifiable"
        for store in ("primary", "offsite"):
            RecoveryPoints(quay.workspace.store(store)).record(point)
        quay.note("after the point")
        time.sleep(0.6)
    quay.archive_all()
    return Lived(backup, started, moment, lsn, point)


@pytest.mark.demand("L15", "R6")
def test_a_second_in_local_time_and_a_changed_row_is_found(quay: Quay, lived: Lived) -> None:
    wish = lived.moment.astimezone(ZoneInfo(ZONE)).replace(tzinfo=None).isoformat(" ")
    plan = planned(quay, wish)
    (source,) = plan.sources
    assert (source.method, source.kind, source.backup, source.store) == (
        "point_in_time", "pgbackrest", lived.backup, "primary",
    )  # fmt: skip
    assert source.recovery is not None
    assert source.recovery.kept_until == lived.moment
    words = plan.in_words()
    assert "that second: everything that was committed by" in words
    assert "the log is archived without a gap until" in words

    job = job_of(quay, plan)
    assert "are free for the scratch server" in METHOD.make_room(job)
    loaded = METHOD.restore(job)
    assert "cluster recovered to that second" in loaded.sentence
    assert loaded.fetched > 0
    assert notes(job.staging) == ["before"]
    assert notes(quay.database)[-1] == "after the point"  # the live one is as it was
    compared = METHOD.compare(job)
    assert (compared.problem, compared.comparison.identical) == (None, True)
    assert [(check.name, check.outcome) for check in compared.checks] == [
        ("heartbeat at the target", Outcome.PASSED)
    ]
    assert [check.outcome for check in METHOD.question(job)] == [Outcome.PASSED]

    with job.staging.connect() as connection:
        connection.execute("UPDATE public.notes SET text = 'Before'")
    broken = METHOD.compare(job)
    assert broken.problem is not None
    assert "public.notes" in broken.problem
    assert broken.comparison.differences

    # The step is tried again over what the first try has left: only what differs is fetched, the copy is made anew.
    METHOD.restore(job)
    assert (notes(job.staging), METHOD.compare(job).problem) == (["before"], None)
    ScratchServer.remove(job.scratch)


@pytest.mark.demand("L15", "L24")
def test_a_verifiable_point_proves_every_row_and_the_backup(quay: Quay, lived: Lived) -> None:
    plan = planned(quay, "newest point")
    recovery = plan.sources[0].recovery
    assert recovery is not None
    assert recovery.point == lived.point.name
    job = job_of(quay, plan)
    METHOD.restore(job)
    assert notes(job.staging) == ["before", "after"]
    compared = METHOD.compare(job)
    assert (compared.problem, compared.comparison.identical) == (None, True)
    backup = quay.workspace.catalog().backup(quay.name, "main-db", "pgbackrest", lived.backup)
    assert backup.level is ProofLevel.IDENTICAL

    # Both sides are changed alike: the copy is equal to what was recovered, and that is not the point.
    for server in (job.staging, ScratchServer.attach(job.scratch).server("quay")):
        with server.connect() as connection:
            connection.execute("UPDATE public.notes SET text = 'After' WHERE text = 'after'")
    broken = METHOD.compare(job)
    assert broken.problem is not None
    assert f"is not recovery point {lived.point.name}" in broken.problem
    assert [check.outcome for check in broken.checks] == [Outcome.FAILED]
    ScratchServer.remove(job.scratch)
    assert quay.workspace.catalog().backup(quay.name, "main-db", "pgbackrest", lived.backup).damaged

    # From then on that backup is passed over, and the other store serves.
    choice = choose(quay, f"lsn:{lived.lsn}")
    assert choice.store == "offsite"
    assert any(line.startswith("store primary: ") for line in choice.passed_over)
    job = job_of(quay, planned(quay, f"lsn:{lived.lsn}"))
    METHOD.restore(job)
    assert notes(job.staging) == ["before"]
    assert METHOD.compare(job).problem is None
    ScratchServer.remove(job.scratch)


@pytest.mark.demand("L15")
def test_the_command_line_restores_the_cluster_to_a_folder(quay: Quay, lived: Lived, escrow_key: EscrowKey) -> None:
    key = quay.place / "escrow.pem"
    key.write_text(escrow_key.private_pem)

    def lifeboat(*arguments: str) -> Result:
        where = ["--policies", str(quay.place / "policies"), "--connections", str(quay.place / "connections.json")]
        return CliRunner().invoke(
            app, [*where, "--key", str(key), "restore", quay.name, *arguments], env={"COLUMNS": "300"}
        )

    folder = quay.scratch()
    # The primary store's backup is known to be damaged by now; a person may name the other store.
    done = lifeboat("--to", "newest point", "--directory", str(folder), "--store", "offsite")
    assert done.exit_code == 0, (done.output, done.exception)
    for words in ("is in", "kept: everything", "lost in it: what was written later", "psql -h", "pg_ctl stop",
                  f"compared with recovery point {lived.point.name}: identical"):
        assert words in done.output, done.output
    assert notes(ScratchServer.attach(folder).server("quay")) == ["before", "after"]

    again = lifeboat("--to", "newest", "--directory", str(folder), "--store", "offsite")
    assert "is not an empty folder; nothing was touched" in f"{again.output}{again.exception}"
    assert notes(ScratchServer.attach(folder).server("quay")) == ["before", "after"]
    ScratchServer.remove(folder)
    for arguments, said in (
        (("--to", "newest"), "--to and --directory go together"),
        (("--to", "newest", "--directory", str(folder), "--over-live"), "runbook's scenario point_in_time"),
        (("--to", "2025-01-01 00:00:00", "--directory", str(folder), "--store", "offsite"), "before the end of the"),
    ):
        refused = lifeboat(*arguments)
        assert refused.exit_code != 0
        assert said in " ".join(f"{refused.output}{refused.exception}".split()), refused.output
    assert not folder.exists()


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ("yesterday", "is malformed; allowed are a time such as"),
        ("newest identical", "names a dump"),
        ("name:nothing", "has no recovery point 'nothing'"),
        ("xid:4711", "is a transaction"),
        ("2026-10-25 02:30:00", "was twice in Europe/Berlin"),
        ("2026-03-29 02:30:00", "never was in Europe/Berlin"),
        ("2025-01-01T00:00:00Z", "before the end of the first backup"),
        ("2099-01-01T00:00:00Z", "after the last archived WAL"),
        ("lsn:FF/0", "its WAL ends at LSN"),
    ],
)
@pytest.mark.usefixtures("lived")
def test_what_cannot_be_reached_is_refused_before_anything_is_touched(quay: Quay, wish: str, said: str) -> None:
    with pytest.raises(BackupNotFound, match=said):
        choose(quay, wish)


def test_a_target_inside_a_gap_is_refused(quay: Quay, lived: Lived) -> None:
    segment = quay.sql(f"SELECT pg_walfile_name('{lived.point.lsn}')")
    (stored,) = (quay.place / "offsite").rglob(f"{segment}-*")
    aside = stored.rename(stored.with_name("aside"))
    wanted = Wanted(
        quay.workspace, quay.system, quay.source, f"lsn:{lived.point.lsn}", (), now, lambda _: None
    )
    try:
        with pytest.raises(BackupNotFound, match="its WAL ends at LSN"):
            choose_physical(wanted, ("offsite",))
    finally:
        aside.rename(stored)
    assert choose_physical(wanted, ("offsite",)).store == "offsite"


@pytest.mark.demand("L15")
@pytest.mark.usefixtures("lived")
def test_a_second_before_a_promotion_and_one_after_it(quay: Quay) -> None:
    with quay.beating():
        quay.back_up(tier="increment")
        quay.back_up("offsite", tier="increment")
        time.sleep(1)
        before = quay.note("before the promotion")
        time.sleep(1.1)
        quay.note("later on the first timeline")
    quay.archive_all()
    fail_over(quay)
    with quay.beating():
        time.sleep(1)
        after = quay.note("after the promotion")
        time.sleep(1.1)
        quay.note("too late")
    quay.archive_all()
    for moment, last in ((before, "before the promotion"), (after, "after the promotion")):
        job = job_of(quay, planned(quay, moment.isoformat()))
        METHOD.restore(job)
        assert notes(job.staging)[-1] == last
        assert METHOD.compare(job).problem is None
        ScratchServer.remove(job.scratch)


def fail_over(quay: Quay) -> None:
    """The cluster goes on under the next timeline, as its promoted standby would."""
    quay.cluster.stop()
    config = quay.place / "br" / f"{quay.name}-main-db" / "pgbackrest.conf"
    assert config.exists(), sorted(config.parent.iterdir())
    data = quay.cluster.data
    (data / "recovery.signal").touch()
    with (data / "postgresql.auto.conf").open("a") as file:
        file.write(f"restore_command = '{commands.PROGRAM} --config={config} --stanza={quay.name}-main-db "
                   "archive-get %f \"%p\"'\n")
    quay.cluster.start()
    end = time.monotonic() + timedelta(seconds=60).total_seconds()
    while quay.sql("SELECT pg_is_in_recovery()") and time.monotonic() < end:
        time.sleep(0.1)
    assert quay.sql("SELECT timeline_id FROM pg_control_checkpoint()") == 2
