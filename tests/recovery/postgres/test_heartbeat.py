"""What heartbeats tell: loss, and the skew between sources."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from include.recovery.catalog.points import Heartbeat
from include.recovery.errors import InsufficientRights, SourceError, SourceUnavailable
from include.recovery.postgres.heartbeat import Skew, meaning_of_call, measured_loss, skew
from include.recovery.postgres.server import PostgresServer

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SERVER = PostgresServer(host="db-1", user="reader", database="shop", password="not to be seen")


def beat_at(seconds: float) -> Heartbeat:
    return Heartbeat(beat=1, at=NOON + timedelta(seconds=seconds))


def test_the_loss_is_counted_from_the_copys_newest_heartbeat() -> None:
    assert measured_loss(beat_at(-42.5), NOON) == 42.5


def test_a_heartbeat_from_the_future_is_no_negative_loss() -> None:
    assert measured_loss(beat_at(3), NOON) == 0


def test_the_skew_names_the_sources_that_lie_furthest_apart() -> None:
    assert skew({"main-db": beat_at(-10), "files-db": beat_at(-95), "queue": beat_at(-30)}) == Skew(
        85, "files-db", "main-db"
    )
    assert skew({"main-db": beat_at(0)}) is None


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (psycopg.errors.UndefinedFunction("x"), InsufficientRights, r"there is no lifeboat\.beat\(\) in this database"),
        (psycopg.errors.InvalidSchemaName("x"), InsufficientRights, "run `lifeboat prepare` for it"),
        (psycopg.errors.InsufficientPrivilege("x"), InsufficientRights, r"lifeboat\.beat\(\) lacks a right"),
        (psycopg.errors.ReadOnlySqlTransaction("x"), SourceError, "name the primary"),
        (psycopg.errors.AdminShutdown("x"), SourceUnavailable, "went away"),
    ],
)
def test_each_failure_of_a_call_is_one_sentence(
    error: psycopg.Error, kind: type[Exception], sentence: str
) -> None:
    meaning = meaning_of_call(error, SERVER, "lifeboat.beat()")
    assert type(meaning) is kind
    assert str(meaning).startswith("shop on db-1:5432 as reader: ")
    with pytest.raises(kind, match=sentence):
        raise meaning
    assert "not to be seen" not in str(meaning)
