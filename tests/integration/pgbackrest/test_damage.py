"""What breaks is found by a check before anybody needs the backup, and named."""

from __future__ import annotations

import os
import shutil
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.recovery.errors import BackupCorrupt, BackupNotFound, LifeboatError, Refused, WrongKey
from include.recovery.pgbackrest import commands, workplace
from include.recovery.pgbackrest.archiver import ask_archiver, judge_archiver
from include.recovery.pgbackrest.backup import ensure_stanza, refuse_damaged
from include.recovery.pgbackrest.check import check, of_info, verify
from include.recovery.pgbackrest.restore import recover, restore_cluster
from include.recovery.pgbackrest.target import Target
from include.recovery.pgbackrest.wal import Trouble
from tests.integration.pgbackrest.conftest import STANZA, World, notes, wal_file

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def filled(world: World, segments: int = 3) -> list[str]:
    """A full backup and some closed segments after it; their names."""
    world.back_up()
    names = []
    for number in range(segments):
        world.note(f"note {number}")
        names.append(world.archive_all())
    return names


def test_missing_truncated_and_empty_wal_are_found_by_name(small_world: World) -> None:
    first, second, third = filled(small_world)
    assert small_world.wal(open_newest=10).problems == ()

    truncated = wal_file(small_world, third)
    truncated.write_bytes(truncated.read_bytes()[: truncated.stat().st_size // 2])
    (finding,) = small_world.wal(open_newest=10).findings
    assert (finding.trouble, finding.segments) == (Trouble.DAMAGED, (third, third))

    wal_file(small_world, second).write_bytes(b"")
    assert {(each.trouble, each.segments) for each in small_world.wal(open_newest=10).findings} == {
        (Trouble.EMPTY, (second, second)), (Trouble.DAMAGED, (third, third)),
    }
    wal_file(small_world, first).unlink()
    (missing,) = [each for each in small_world.wal().findings if each.trouble is Trouble.MISSING]
    assert f"WAL segment {first} is missing, needed by recovery to any moment since" in missing.sentence
    lost = small_world.sql("SELECT pg_current_wal_lsn()::text")
    with pytest.raises(BackupNotFound, match=f"WAL segment {first} is missing or unfit, and its WAL ends at LSN"):
        small_world.choose(Target.position(lost))
    found = verify(small_world.tool, 1)
    assert not found.ok
    assert any("WAL segments of 15-1 are good" in problem for problem in found.problems), found
    for name in (second, third):
        assert any(f"/{name}-" in problem and "is damaged" in problem for problem in found.problems), found
    assert len(found.problems) == 3


def test_a_second_segment_of_one_name(small_world: World) -> None:
    (name,) = filled(small_world, 1)
    path = wal_file(small_world, name)
    twin = path.with_name(path.name.replace(path.name[25:65], "0" * 40))
    twin.write_bytes(path.read_bytes())
    (finding,) = small_world.wal().findings
    assert (finding.trouble, finding.segments) == (Trouble.DUPLICATE, (name, name))


def test_an_incremental_whose_full_is_gone_and_a_damaged_backup_file(small_world: World) -> None:
    full = small_world.back_up().physical.label
    small_world.note("between")
    small_world.back_up("incr")
    assert verify(small_world.tool, 1).problems == ()
    folder = Path(small_world.configuration.repository(1).where) / "backup" / STANZA
    bundle = max((folder / full / "bundle").iterdir(), key=lambda path: path.stat().st_size)
    damaged = bytearray(bundle.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    bundle.write_bytes(damaged)
    found = verify(small_world.tool, 1)
    assert any(full in problem for problem in found.problems), found
    expire = commands.expire(small_world.tool.call, 1, label=full)
    with pytest.raises(Refused, match="take another full backup to this repository first"):
        small_world.tool.run(expire, "expiring")
    second = small_world.back_up().physical.label
    small_world.tool.run(expire, "expiring")
    left = small_world.tool.info(repository=1).in_repository(1)
    assert [each.label for each in left] == [second], "pgBackRest removes what stands on it too"
    standing = small_world.back_up("incr").physical.label
    shutil.rmtree(folder / second)
    found = verify(small_world.tool, 1)
    assert any(second in problem for problem in found.problems), found
    assert any(standing in problem for problem in found.problems), found


def test_pages_that_fail_their_checksum_make_no_green_backup(small_world: World) -> None:
    table = "CREATE TABLE public.big AS SELECT n, repeat('x', 500) FROM generate_series(1, 2000) n"
    small_world.sql(table, "CHECKPOINT")
    path = small_world.cluster.data / small_world.sql("SELECT pg_relation_filepath('public.big')")
    with path.open("r+b") as file:
        file.seek(8192 + 4000)
        file.write(os.urandom(64))
    taken = small_world.back_up()
    assert taken.physical.page_checksum_errors == 1
    assert "pages failed their checksum in 1 files" in taken.notes[-1]
    with pytest.raises(BackupCorrupt, match="the server's own pages are damaged"):
        refuse_damaged(taken)
    assert any("pages failed their checksum" in problem for problem in of_info(small_world.tool.info()))


def test_a_failing_archive_command_is_seen_with_its_time(small_world: World) -> None:
    filled(small_world, 1)
    healthy = ask_archiver(small_world.server)
    assert judge_archiver(healthy, allowance=timedelta(seconds=60)).problems == ()
    assert healthy.free_bytes
    small_world.sql("ALTER SYSTEM SET archive_command = 'false'", "SELECT pg_reload_conf()")
    began = datetime.now(UTC)
    small_world.note("not archived")
    small_world.sql("SELECT pg_switch_wal()")
    state = healthy
    end = time.monotonic() + 60
    while state.failing_since is None and time.monotonic() < end:
        time.sleep(0.3)
        state = ask_archiver(small_world.server)
    assert state.failing_since is not None
    assert abs(state.failing_since - began) < timedelta(seconds=5)
    verdict = judge_archiver(state, allowance=timedelta(0), disk_margin=timedelta(days=3650))
    assert verdict.problems[0].startswith("archive_command has been failing for")
    assert state.last_failed is not None
    assert state.last_failed in verdict.problems[0]
    failed = check(small_world.tool)
    assert not failed.ok
    assert "archive_command" in failed.problems[0]


def test_a_promoted_copy_makes_a_timeline_and_recovery_crosses_it(small_world: World) -> None:
    """The old primary is gone, its standby goes on and archives: points before and after are both reached."""
    small_world.back_up()
    small_world.sql("SELECT pg_sleep(1)")  # pgBackRest tells the end of a backup in whole seconds
    before = small_world.note("before the promotion")
    small_world.sql("SELECT pg_sleep(0.1)")
    small_world.note("later on the first timeline")
    small_world.archive_all()
    # The failover: the same cluster, recovered by its own archive, goes on under the next timeline.
    small_world.cluster.stop()
    data = small_world.cluster.data
    (data / "recovery.signal").touch()
    with (data / "postgresql.auto.conf").open("a") as file:
        file.write(f"restore_command = '{commands.PROGRAM} --config={small_world.configuration.folders.config} "
                   f"--stanza={STANZA} archive-get %f \"%p\"'\n")
    small_world.cluster.start()
    end = time.monotonic() + 60
    while small_world.sql("SELECT pg_is_in_recovery()") and time.monotonic() < end:
        time.sleep(0.1)
    assert small_world.facts.timeline == 2
    after = small_world.note("after the promotion")
    small_world.sql("SELECT pg_sleep(0.1)")
    small_world.note("too late")
    small_world.archive_all()
    report = small_world.wal(open_newest=5)
    assert report.problems == ()
    assert report.lineage.timeline == 2

    copy = small_world.restore(Target.time(after))
    assert notes(copy)[-2:] == ["later on the first timeline", "after the promotion"]
    copy.server.stop()
    copy = small_world.restore(Target.time(before))
    assert notes(copy)[-1] == "before the promotion"
    copy.server.stop()
    incremental = small_world.back_up("incr")
    assert incremental.physical.timeline == 2
    copy = small_world.restore(Target.newest())
    assert notes(copy)[-1] == "too late"
    copy.server.stop()


def test_a_repository_that_goes_away_while_wal_is_fetched_never_looks_like_the_end(small_world: World) -> None:
    filled(small_world)
    choice = small_world.choose(Target.newest())
    folder = small_world.scratch()
    restore_cluster(
        small_world.configuration, folder, Target.newest(), label=choice.backup.label, repository=1
    )
    archive = Path(small_world.configuration.repository(1).where) / "archive"
    wal_file(small_world, choice.reach.last.name()).unlink()  # type: ignore[union-attr]
    assert archive.exists()
    with pytest.raises(BackupCorrupt, match="and the archive has WAL until segment"):
        recover(folder, Target.newest(), major=15, superuser="postgres", at_least=choice.reach.last, wait=60)


def test_a_store_that_does_not_answer_for_a_moment_does_not_end_a_recovery(small_world: World) -> None:
    """PostgreSQL would take the first failure for the end of the log, and open there."""
    filled(small_world)
    choice = small_world.choose(Target.newest())
    folder = small_world.scratch()
    restore_cluster(small_world.configuration, folder, Target.newest(), label=choice.backup.label, repository=1)
    where = Path(small_world.configuration.repository(1).where)
    away = where.with_name("away")
    where.rename(away)
    back = threading.Timer(1.2, away.rename, [where])
    back.start()
    try:
        copy = recover(folder, Target.newest(), major=15, superuser="postgres", at_least=choice.reach.last, wait=60)
    finally:
        back.join()
    with copy.server.server("postgres").connect() as connection:
        row = connection.execute("SELECT count(*) FROM public.notes").fetchone()
    assert row == (small_world.sql("SELECT count(*) FROM public.notes"),)
    copy.server.stop()


def test_a_target_after_the_last_commit_is_no_success(small_world: World) -> None:
    filled(small_world, 1)
    choice = small_world.choose(Target.newest())
    late = Target.time(small_world.now() + timedelta(days=1))
    folder = small_world.scratch()
    restore_cluster(small_world.configuration, folder, late, label=choice.backup.label, repository=1)
    with pytest.raises(BackupNotFound, match="the archived WAL ends before time"):
        recover(folder, late, major=15, superuser="postgres", wait=60)


def test_another_pass_is_one_clear_sentence(small_world: World) -> None:
    small_world.back_up()
    wrong = replace(small_world.configuration.repository(1), cipher_pass="another pass")
    workplace.prepare(replace(small_world.configuration, repositories=[wrong]))
    with pytest.raises(WrongKey, match="encrypted with another pass") as caught:
        ensure_stanza(small_world.tool)
    assert "another pass;" not in str(caught.value).replace("encrypted with another pass;", "")


def test_a_cluster_that_is_not_the_stanzas_is_refused(small_world: World) -> None:
    small_world.back_up()
    other = small_world.place / "other"
    small_world.cluster._tool("initdb", "-D", str(other), "-U", "postgres", "--no-sync")
    small_world.cluster.stop()
    data = small_world.cluster.data
    data.rename(data.with_name("old"))
    other.rename(data)
    for file in ("lab.conf", "postgresql.auto.conf"):
        (data / file).write_text((data.with_name("old") / file).read_text())
    with (data / "postgresql.conf").open("a") as conf:
        conf.write("include 'lab.conf'\n")
    small_world.cluster.start()
    with pytest.raises(LifeboatError, match="the stanza belongs to another cluster"):
        small_world.back_up()

