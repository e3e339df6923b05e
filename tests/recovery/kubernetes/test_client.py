"""Where the API server is, and how it is trusted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from include.recovery.connections import ConnectionInfo
from include.recovery.errors import LifeboatError
from include.recovery.kubernetes.client import Api


@pytest.mark.parametrize(
    ("connection", "address"),
    [
        (ConnectionInfo("k", "https://10.0.0.1:6443"), "https://10.0.0.1:6443"),
        (ConnectionInfo("k", "10.0.0.1", 6443), "https://10.0.0.1:6443"),
        (ConnectionInfo("k", "https://rancher.example/k8s/c-1"), "https://rancher.example/k8s/c-1"),
        (ConnectionInfo("k", "127.0.0.1", 8001, schema="http"), "http://127.0.0.1:8001"),
    ],
)
def test_addresses(connection: ConnectionInfo, address: str) -> None:
    with Api(replace(connection, password="t")) as api:
        assert api.address == address


@pytest.mark.parametrize(
    ("connection", "why"),
    [
        (ConnectionInfo("k", "http://10.0.0.1:8080", password="hunter2"), "must not travel in the clear"),
        (ConnectionInfo("k", "https://me:hunter2@10.0.0.1"), "holds a login"),
        (ConnectionInfo("k", "https://a"), "has no token"),
        (ConnectionInfo("k", "https://a", password="hunter2\nhunter2"), "holds blanks, line breaks"),
        (ConnectionInfo("k", "https://a", password="hunter2é"), "holds blanks, line breaks"),
        (ConnectionInfo("k", ""), "no address"),
        (ConnectionInfo("k", "ftp://a"), "no address"),
        (ConnectionInfo("k", "https://a", password="t", extra={"ca": "no certificate"}), "holds no certificates"),
        (ConnectionInfo("k", "https://a", password="t", extra={"ca_file": "/not/there"}), "holds no certificates"),
        (ConnectionInfo("k", "https://a", extra={"token_file": "/not/there"}), "cannot be read"),
    ],
)
def test_a_connection_that_is_wrong(connection: ConnectionInfo, why: str) -> None:
    with pytest.raises(LifeboatError, match=why) as refused:
        Api(connection)
    assert "hunter2" not in str(refused.value)


def test_a_token_may_come_from_a_file_that_is_renewed(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first\n")
    connection = ConnectionInfo("k", "https://a", password="old", extra={"token_file": str(tmp_path / "token")})
    with Api(connection) as api:
        assert api._http.headers["Authorization"] == "Bearer first"
