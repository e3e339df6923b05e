"""Argv lists of a connection, never a shell's line; what is missing is named with what to put there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from include.recovery.connections import ConnectionInfo
from include.recovery.errors import PolicyError, SourceError, SourceUnavailable
from include.recovery.postgres.server import PostgresServer
from include.recovery.replacement.control import ServerControl

GOOD = {"data_directory": "/var/lib/pg", "stop": ["systemctl", "stop", "pg"], "start": ["systemctl", "start", "pg"]}


def control(data: Path, *, start: list[str], stop: list[str] | None = None) -> ServerControl:
    extra = {"data_directory": str(data), "start": start, "stop": stop or ["true"]}
    return ServerControl.from_connection(ConnectionInfo("shop_cluster", extra=extra))


def test_what_is_there() -> None:
    found = ServerControl.from_connection(ConnectionInfo("shop_cluster", extra=GOOD))
    assert (found.data, found.start_command) == (Path("/var/lib/pg"), ("systemctl", "start", "pg"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"data_directory": None}, "extra.data_directory is nothing; to replace a whole cluster it must be the abs"),
        ({"data_directory": "relative"}, "extra.data_directory is 'relative'"),
        ({"stop": "systemctl stop pg"}, "extra.stop is 'systemctl stop pg'; to replace a whole cluster it must be the "
         "command that stops the server on its host, as a list of words, such as [\"sudo\""),
        ({"start": []}, "extra.start is []"),
        ({"start": ["sh", 1]}, "extra.start is ['sh', 1]"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(PolicyError) as error:
        ServerControl.from_connection(ConnectionInfo("shop_cluster", extra={**GOOD, **change}))
    assert sentence in str(error.value)
    assert str(error.value).startswith("connection 'shop_cluster'")


def test_every_missing_key_has_a_line() -> None:
    with pytest.raises(PolicyError) as error:
        ServerControl.from_connection(ConnectionInfo("shop_cluster"))
    assert len(error.value.problems) == 3


def test_a_server_that_is_down_is_stopped_all_the_same(tmp_path: Path) -> None:
    told = tmp_path / "told"
    stop = [sys.executable, "-c", f"open({str(told)!r}, 'w').close()"]
    assert control(tmp_path / "data", start=["true"], stop=stop).stop() is False
    assert told.exists()
    assert control(tmp_path / "data", start=["true"], stop=["false"]).stop() is False


def test_a_start_that_fails_or_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    nowhere = PostgresServer(host=str(tmp_path), port=1)
    with pytest.raises(SourceError, match=r"command \['false'\] of connection shop_cluster failed"):
        control(tmp_path, start=["false"]).start(nowhere)
    with pytest.raises(SourceUnavailable, match="does not answer within 0 s"):
        control(tmp_path, start=["true"]).start(nowhere, seconds=0.3)
