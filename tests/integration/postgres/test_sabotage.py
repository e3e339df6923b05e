"""What goes wrong in the middle: the backup fails with a sentence, and nothing that looks like a backup remains."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from include.recovery.errors import BackupCorrupt, LifeboatError, Refused, SourceUnavailable, ToolFailed
from include.recovery.jobs import Stopped
from include.recovery.parts.progress import Progress
from include.recovery.postgres.scratch import ScratchServer
from include.recovery.postgres.server import PostgresServer
from include.recovery.stores.folder import FolderStore
from tests.integration.postgres.conftest import Depot, compared

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
ROOT = Path(__file__).parents[3]


def run(server: PostgresServer, statement: str) -> list[tuple[Any, ...]]:
    with server.connect() as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def nothing_remains(depot: Depot) -> bool:
    """No backup is listed, and no part of one is stored."""
    left = [info.key for info in depot.store.list("shop/") if "/leases/" not in info.key]
    return depot.catalog.backups() == [] and left == []


@pytest.fixture
def sizable(fresh_database: PostgresServer) -> PostgresServer:
    """A database of some 100 MB, so that there is a middle for things to happen in."""
    # Text that hardly compresses: what is compressed ahead must not swallow a whole table.
    filler = " || ".join(f"md5(g || '{letter}')" for letter in "abcdefgh")
    for name in ("one", "two", "three"):
        run(fresh_database, f"CREATE TABLE public.{name} AS SELECT g AS id, {filler} AS filler"
                            " FROM generate_series(1, 120000) g")
    return fresh_database


class Tripwire:
    """Progress that does something once, when so many bytes are through."""

    def __init__(self, action: Callable[[], None], after: int = 4_000_000) -> None:
        self._action, self._left, self._lock = action, after, threading.Lock()

    def add(self, part: str, stored: int, content: int) -> None:
        with self._lock:
            before, self._left = self._left, self._left - content
        if before > 0 >= self._left:
            self._action()


def back_up(depot: Depot, server: PostgresServer, *, progress: Progress, stop: threading.Event | None = None) -> None:
    from include.recovery.catalog.lease import Owner
    from include.recovery.postgres.backup import BackupOptions, back_up_database

    owner = Owner.of_this_process("sabotage")
    with depot.catalog.begin("shop", "main-db", "postgres", owner=owner, keyring=depot.keyring) as in_progress:
        back_up_database(server, in_progress, BackupOptions(zstd_level=1), progress=progress, stop=stop)
        pytest.fail("the backup succeeded")


def test_a_pg_dump_that_is_killed_fails_the_backup(sizable: PostgresServer, depot: Depot) -> None:
    def kill_one() -> None:
        for child in psutil.Process().children(recursive=True):
            if child.name() == "pg_dump":
                child.kill()
                return

    with pytest.raises(ToolFailed, match=r"dumping .* failed: pg_dump was ended by signal 9"):
        back_up(depot, sizable, progress=Tripwire(kill_one))
    assert nothing_remains(depot)
    assert not [c for c in psutil.Process().children(recursive=True) if c.name() == "pg_dump"]
    assert depot.back_up(sizable).manifest.parts  # the lease was given back


def test_a_server_that_dies_is_worth_another_try(
    start_scratch: Callable[..., ScratchServer], depot: Depot
) -> None:
    scratch = start_scratch("dying")
    server = scratch.server()
    run(server, "CREATE TABLE public.t AS SELECT g, repeat(md5(g::text), 8) AS f FROM generate_series(1, 300000) g")

    def die() -> None:
        for process in [*psutil.Process(scratch.pid).children(), psutil.Process(scratch.pid)]:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    with pytest.raises(SourceUnavailable, match=r"the server (went away|cannot be reached)"):
        back_up(depot, server, progress=Tripwire(die))
    assert nothing_remains(depot)


def test_a_full_disk_fails_the_backup(sizable: PostgresServer, depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    written = 0
    honest = FolderStore.writer

    def writer(self: FolderStore, key: str) -> Any:
        made = honest(self, key)
        write = made.write

        def full(data: bytes) -> None:
            nonlocal written
            written += len(data)
            if written > 200_000:
                raise OSError(28, "No space left on device")
            write(data)

        monkeypatch.setattr(made, "write", full, raising=False)
        return made

    monkeypatch.setattr(FolderStore, "writer", writer)
    with pytest.raises(OSError, match="No space left"):
        back_up(depot, sizable, progress=Tripwire(lambda: None))
    monkeypatch.undo()
    assert nothing_remains(depot)


def test_a_stop_ends_a_backup_and_all_that_it_started(sizable: PostgresServer, depot: Depot) -> None:
    stop = threading.Event()
    with pytest.raises(Stopped):
        back_up(depot, sizable, progress=Tripwire(stop.set), stop=stop)
    assert nothing_remains(depot)
    assert run(sizable, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                        " AND pid <> pg_backend_pid() AND backend_type = 'client backend'") == [(0,)]


def test_a_table_cannot_be_dropped_or_emptied_under_a_backup(sizable: PostgresServer, depot: Depot) -> None:
    """The coordinator's locks hold it off; and the dumps that come after it in the queue do not wait forever."""
    done = threading.Event()

    def drop() -> None:
        run(replace(sizable), "TRUNCATE public.two")
        done.set()

    waiting = threading.Thread(target=drop)

    def begin() -> None:
        waiting.start()
        time.sleep(0.3)
        assert not done.is_set()

    from include.recovery.catalog.lease import Owner
    from include.recovery.postgres.backup import BackupOptions, back_up_database

    owner = Owner.of_this_process("truncate")
    with depot.catalog.begin("shop", "main-db", "postgres", owner=owner, keyring=depot.keyring) as in_progress:
        options = BackupOptions(zstd_level=1, lock_wait=2, streams=1)
        with pytest.raises(SourceUnavailable, match="somebody waits for an exclusive lock"):
            back_up_database(sizable, in_progress, options, progress=Tripwire(begin))
    waiting.join(20)
    assert done.is_set()


@pytest.mark.demand("L24")
def test_rows_written_during_the_backup_are_not_in_it(
    sizable: PostgresServer, depot: Depot, scratch: ScratchServer
) -> None:
    stop = threading.Event()
    run(sizable, "CREATE TABLE public.busy (id serial PRIMARY KEY, at timestamptz DEFAULT now())")

    def write() -> None:
        with sizable.connect() as connection:
            while not stop.is_set():
                connection.execute("INSERT INTO public.busy DEFAULT VALUES")
                connection.execute("UPDATE public.one SET filler = 'changed' WHERE id % 1000 = 0")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        time.sleep(0.3)
        backup = depot.back_up(sizable, zstd_level=1)
    finally:
        stop.set()
        writer.join()
    depot.restore(backup, scratch.server(), "busy")
    verdict = compared(backup, scratch.server("busy"))
    assert verdict.identical, verdict.differences
    with scratch.server("busy").connect() as connection:  # the restored sequence gives no number twice
        connection.execute("INSERT INTO public.busy DEFAULT VALUES")


def test_a_damaged_part_fails_the_restore_and_leaves_no_database(
    sizable: PostgresServer, depot: Depot, scratch: ScratchServer
) -> None:
    backup = depot.back_up(sizable, zstd_level=1)
    part = next(part for part in backup.manifest.parts if part.tables)
    path = depot.folder / part.volumes[0].key
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(BackupCorrupt, match=part.name):
        depot.restore(backup, scratch.server(), "damaged")
    assert run(scratch.server(), "SELECT count(*) FROM pg_database WHERE datname = 'damaged'") == [(0,)]
    path.unlink()
    with pytest.raises(BackupCorrupt, match="missing"):
        depot.restore(backup, scratch.server(), "damaged")
    assert run(scratch.server(), "SELECT count(*) FROM pg_database WHERE datname = 'damaged'") == [(0,)]


def test_a_restore_over_something_is_refused(sizable: PostgresServer, depot: Depot) -> None:
    backup = depot.back_up(sizable, zstd_level=1)
    with pytest.raises(Refused, match="exists and is not empty; nothing was touched"):
        depot.restore(backup, sizable, sizable.database)
    assert run(sizable, "SELECT count(*) FROM public.one") == [(120000,)]


@pytest.mark.demand("L24")
def test_one_changed_value_and_one_missing_row_are_found(
    sizable: PostgresServer, depot: Depot, scratch: ScratchServer
) -> None:
    backup = depot.back_up(sizable, zstd_level=1)
    depot.restore(backup, scratch.server(), "tampered")
    copy = scratch.server("tampered")
    run(copy, "UPDATE public.two SET filler = filler || ' ' WHERE id = 4711")
    run(copy, "DELETE FROM public.three WHERE id = 1")
    messages = [d.message for d in compared(backup, copy).differences]
    assert len(messages) == 2
    assert any("public.two" in message for message in messages)
    assert any("public.three" in message and "119999" in message.replace(",", "") for message in messages)


KILLED = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from include.recovery.catalog.catalog import Catalog
from include.recovery.catalog.lease import Owner
from include.recovery.keys.envelope import Keyring
from include.recovery.keys.escrow import EscrowWrapper
from include.recovery.postgres.backup import BackupOptions, back_up_database
from include.recovery.postgres.server import PostgresServer
from include.recovery.stores.folder import FolderStore

root, folder, public, host, port, user, password, database = sys.argv[1:]

class Tell:
    left = 3_000_000
    def add(self, part, stored, content):
        before, self.left = self.left, self.left - content
        if before > 0 >= self.left:
            print("dumping", flush=True)
            time.sleep(60)  # so long does its pg_dump wait for room in the pipe

server = PostgresServer(host=host, port=int(port), user=user, password=password, database=database)
catalog = Catalog(FolderStore("local", Path(folder)))
keyring = Keyring([EscrowWrapper(public_key_pem=Path(public).read_text())])
owner = Owner.of_this_process("killed", 1)
with catalog.begin("shop", "main-db", "postgres", owner=owner, keyring=keyring) as in_progress:
    back_up_database(server, in_progress, BackupOptions(zstd_level=1, streams=2), progress=Tell())
"""


@pytest.fixture
def public_key(tmp_path: Path) -> Path:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 4096).public_key()
    path = tmp_path / "escrow.pem"
    path.write_bytes(key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return path


def test_kill_9_in_the_middle_leaves_no_pg_dump_and_no_backup(
    sizable: PostgresServer, depot: Depot, tmp_path: Path, public_key: Path
) -> None:
    words = [str(ROOT), str(tmp_path / "store"), str(public_key), sizable.host, str(sizable.port), sizable.user,
             sizable.password, sizable.database]
    process = subprocess.Popen([sys.executable, "-c", KILLED, *words], stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == b"dumping\n"
    tools = [
        child for child in psutil.Process(process.pid).children(recursive=True)
        if child.name() == "pg_dump" and child.status() != psutil.STATUS_ZOMBIE
    ]
    assert tools
    argv = [word for tool in tools for word in tool.cmdline()]
    assert sizable.password not in " ".join(argv)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    gone, alive = psutil.wait_procs(tools, timeout=10)
    assert not alive
    assert len(gone) == len(tools)
    assert depot.catalog.backups() == []
    with pytest.raises(LifeboatError):  # another run is held off while the dead one's lease lives
        depot.back_up(sizable)


def test_killing_the_scratch_server_in_a_restore_is_an_error_and_stopping_works(
    sizable: PostgresServer, depot: Depot, start_scratch: Callable[..., ScratchServer]
) -> None:
    backup = depot.back_up(sizable, zstd_level=1)
    scratch = start_scratch("killed")
    pid = scratch.pid

    def die() -> None:
        os.kill(pid, signal.SIGKILL)

    with pytest.raises(SourceUnavailable, match="went away"):
        depot.restore(backup, scratch.server(), "copy", progress=Tripwire(die))
    with pytest.raises(SourceUnavailable, match="no scratch server runs in"):
        ScratchServer.attach(scratch.directory)
    scratch.stop()
    assert not scratch.directory.exists()
    assert not [p for p in psutil.process_iter(["cwd"]) if p.info["cwd"] == str(scratch.directory / "data")]
