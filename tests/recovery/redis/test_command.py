"""How redis-cli is called: every way to reach a server, and never a password among its words."""

from __future__ import annotations

import pytest

from include.recovery.connections import ConnectionInfo
from include.recovery.processes import secrets_of
from include.recovery.redis.rdb import _command

SECRET = "very secret"


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        (ConnectionInfo("a"), "-h 127.0.0.1 -p 6379"),
        (ConnectionInfo("a", host="/run/redis.sock", password=SECRET), "-s /run/redis.sock"),
        (ConnectionInfo("a", host="db", port=7, login="reader", password=SECRET), "-h db -p 7 --user reader"),
        (ConnectionInfo("a", host="db", extra={"ssl": True, "ssl_ca_certs": "/ca.pem"}), "--tls --cacert /ca.pem"),
    ],
)
def test_it_says_where_and_no_secret(connection: ConnectionInfo, words: str) -> None:
    line = " ".join(_command(connection))
    assert words in line
    assert line.endswith("--rdb -")
    assert SECRET not in line


def test_its_password_is_known_as_a_secret() -> None:
    assert secrets_of({"REDISCLI_AUTH": SECRET, "PATH": "/bin"}) == [SECRET]
