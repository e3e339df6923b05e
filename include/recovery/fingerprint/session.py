"""Read-only sessions that all see one snapshot, with every setting pinned that shows in text or in a plan."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Any

import psycopg

from include.recovery.errors import InsufficientRights, LifeboatError, SourceError, SourceUnavailable

Connect = Callable[[], psycopg.Connection[Any]]
Session = psycopg.Connection[Any]
Work = Callable[[Session], None]

OLDEST_SERVER = 110000
RECORD_HASH_SINCE = 140000

PINNED = {
    # what values look like as text
    "search_path": "''",
    "client_encoding": "'UTF8'",
    "DateStyle": "'ISO, YMD'",
    "IntervalStyle": "postgres",
    "TimeZone": "'UTC'",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "xmlbinary": "base64",
    "xmloption": "content",
    "lc_monetary": "'C'",
    "quote_all_identifiers": "off",
    # hidden rows are an error, never fewer rows
    "row_security": "off",
    # long scans are what this is for
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "jit": "off",
    "enable_sort": "off",
    "min_parallel_table_scan_size": "0",
    "parallel_setup_cost": "0",
    "parallel_tuple_cost": "1",
    "max_parallel_workers_per_gather": "0",
}

_SNAPSHOT = re.compile(r"[0-9A-F]+(-[0-9A-F]+)*")


@contextmanager
def snapshot_sessions(connect: Connect, snapshot: str | None, count: int) -> Iterator[tuple[Session, ...]]:
    """Sessions in a repeatable-read, read-only transaction each, all on the same snapshot.

    :param connect: makes a new connection; called ``count`` times.
    :param snapshot: an exported snapshot whose exporter stays open; None takes and shares a new one.
    :param count: at least 1.
    :raises SourceUnavailable: the server cannot be reached, or went away inside the ``with`` block.
    :raises SourceError: the server is too old, or refused a statement inside the ``with`` block.
    """
    with translated_errors(), ExitStack() as stack:
        sessions: list[Session] = []
        for _ in range(count):
            session = stack.enter_context(_closing(connect()))
            _begin(session, snapshot)
            sessions.append(session)
            if snapshot is None and count > 1:
                snapshot = str(scalar(session, "SELECT pg_catalog.pg_export_snapshot()"))
        yield tuple(sessions)


def _begin(session: Session, snapshot: str | None) -> None:
    version = session.info.server_version
    if version < OLDEST_SERVER:
        raise SourceError(
            f"{session.info.host} runs PostgreSQL {version // 10000}, which has no 64-bit hash functions; "
            f"fingerprints need {OLDEST_SERVER // 10000} or newer, so upgrade it or set coverage to none"
        )
    session.autocommit = True  # BEGIN is said below, with its snapshot
    statements = ["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"]
    if snapshot is not None:
        if not _SNAPSHOT.fullmatch(snapshot):
            raise SourceError(f"{snapshot!r} is not the name of an exported snapshot")
        statements.append(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
    statements += [f"SET LOCAL {name} = {value}" for name, value in PINNED.items()]
    execute(session, "; ".join(statements))


@contextmanager
def _closing(session: Session) -> Iterator[Session]:
    try:
        yield session
    finally:
        with suppress(psycopg.Error):
            session.close()


@contextmanager
def translated_errors() -> Iterator[None]:
    """psycopg's errors as ours, so that a retry policy can tell trouble on the way from a refusal."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise InsufficientRights(f"{_first_line(error)}; run `lifeboat prepare` for this database") from error
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.LockNotAvailable) as error:
        raise SourceUnavailable(
            f"a table was changed or locked while the fingerprint began ({_first_line(error)}); run it again"
        ) from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise SourceUnavailable(f"the server went away during the fingerprint: {_first_line(error)}") from error
    except psycopg.Error as error:
        raise SourceError(f"the fingerprint was refused: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]


Parameters = Sequence[Any] | Mapping[str, Any]


def execute(session: Session, sql: str, parameters: Parameters | None = None) -> psycopg.Cursor[Any]:
    """Run SQL that this package built from its own text and quoted names."""
    return session.execute(sql, parameters)


def rows(session: Session, sql: str, parameters: Parameters | None = None) -> list[tuple[Any, ...]]:
    """All rows of a query."""
    return execute(session, sql, parameters).fetchall()


def scalar(session: Session, sql: str, parameters: Sequence[Any] | None = None) -> Any:
    """The one value of a query."""
    row = execute(session, sql, parameters).fetchone()
    return row[0] if row else None


def run_on_all(sessions: Sequence[Session], work: Sequence[Work], stop: threading.Event | None = None) -> None:
    """Do pieces of work on several sessions at once, each piece on the next free one, in the order given.

    The first failure, or ``stop``, cancels what runs on the others; nothing keeps running when this returns.

    :raises LifeboatError: ``stop`` was set.
    """
    queue: SimpleQueue[Work] = SimpleQueue()
    for piece in work:
        queue.put(piece)
    failed = threading.Event()

    def drain(session: Session) -> None:
        while not failed.is_set():
            try:
                piece = queue.get_nowait()
            except Empty:
                return
            try:
                piece(session)
            except BaseException:
                failed.set()
                raise

    with ThreadPoolExecutor(len(sessions), thread_name_prefix="fingerprint") as pool:
        futures = [pool.submit(drain, session) for session in sessions]
        try:
            _await(futures, failed, stop)
        finally:
            if not all(future.done() for future in futures):
                failed.set()
                _cancel(sessions)
    # The first error is the cause; the others were cancelled because of it.
    errors = [error for future in futures if (error := future.exception()) is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, psycopg.errors.QueryCanceled)):
        raise error


def _await(futures: Sequence[Future[None]], failed: threading.Event, stop: threading.Event | None) -> None:
    while True:
        _, running = wait(futures, timeout=0.5, return_when=FIRST_EXCEPTION)
        if not running or failed.is_set():
            return
        if stop is not None and stop.is_set():
            raise LifeboatError("the fingerprint was stopped because its backup was")


def _cancel(sessions: Sequence[Session]) -> None:
    for session in sessions:
        with suppress(psycopg.Error):
            session.cancel_safe(timeout=5)
