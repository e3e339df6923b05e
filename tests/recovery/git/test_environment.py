"""What git is told: nothing of the machine's, no secret where others see it, and private files that do not stay."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from include.recovery.connections import ConnectionInfo
from include.recovery.errors import SourceError
from include.recovery.git.address import parse_address
from include.recovery.git.environment import access, environment

SECRET = "s3cret: wi'th \"odd\" $signs `and` \\ more"
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nsecret\n-----END OPENSSH PRIVATE KEY-----"


def test_no_configuration_of_others_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_SSH_COMMAND", "evil")
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'alias.x=!evil'")
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    env = environment()
    assert "GIT_SSH_COMMAND" not in env
    assert "GIT_CONFIG_PARAMETERS" not in env
    assert "GIT_DIR" not in env
    assert env["GIT_CONFIG_NOSYSTEM"] == "1"
    assert env["GIT_CONFIG_GLOBAL"] == "/dev/null"
    assert env["GIT_TERMINAL_PROMPT"] == "0"
    assert env["GIT_ALLOW_PROTOCOL"] == "file"
    settings = {env[f"GIT_CONFIG_KEY_{n}"]: env[f"GIT_CONFIG_VALUE_{n}"] for n in range(int(env["GIT_CONFIG_COUNT"]))}
    assert settings["core.hooksPath"] == "/dev/null"
    assert settings["protocol.ext.allow"] == "never"


def test_a_password_is_in_a_variable_that_only_a_helper_reads() -> None:
    address = parse_address("https://git.example.org/x.git")
    with access(address, ConnectionInfo("code", login="robot", password=SECRET)) as env:
        helper = Path(env["GIT_ASKPASS"])
        assert [name for name, value in env.items() if SECRET in value] == ["LIFEBOAT_GIT_PASSWORD"]
        assert SECRET not in helper.read_text()
        assert helper.stat().st_mode & 0o077 == 0
        assert helper.parent.stat().st_mode & 0o077 == 0
        for question, answer in (("Username for 'https://x': ", "robot"), ("Password for 'https://x': ", SECRET)):
            said = subprocess.run([helper, question], env=env, capture_output=True, check=True, text=True)
            assert said.stdout == answer + "\n"
    assert not helper.parent.exists()


def test_an_ssh_key_is_in_a_private_file_and_the_host_must_be_known() -> None:
    address = parse_address("ssh://git@git.example.org:2222/x.git")
    extra = {"private_key": KEY, "host_key": "ssh-ed25519 AAAA"}
    with access(address, ConnectionInfo("code", extra=extra)) as env:
        words = dict(word.split("=", 1) for word in env["GIT_SSH_COMMAND"].split() if "=" in word)
        key = Path(words["IdentityFile"])
        assert key.read_text() == KEY + "\n"
        assert key.stat().st_mode & 0o777 == 0o600
        assert Path(words["UserKnownHostsFile"]).read_text() == "[git.example.org]:2222 ssh-ed25519 AAAA\n"
        assert words["StrictHostKeyChecking"] == "yes"
        assert not [name for name, value in env.items() if "BEGIN OPENSSH" in value]
    assert not key.parent.exists()


@pytest.mark.parametrize(("url", "connection", "match"), [
    ("http://git.example.org/x", ConnectionInfo("code", password="hidden"), "would send it in plain text"),
    ("git://git.example.org/x", ConnectionInfo("code", password="hidden"), "would send it in plain text"),
    ("ssh://git@h/x", ConnectionInfo("code", password="hidden"), "must hold private_key and host_key in its extra"),
    ("ssh://git@h/x", ConnectionInfo("code", extra={"private_key": "hidden"}), "must hold host_key in its extra"),
    ("ssh://git@h/x", None, "a connection, which the policy lacks"),
])  # fmt: skip
def test_connections_that_do_not_fit(url: str, connection: ConnectionInfo | None, match: str) -> None:
    with pytest.raises(SourceError, match=match) as caught, access(parse_address(url), connection):
        pass
    assert "hidden" not in str(caught.value)


def test_a_folder_is_trusted_whoever_owns_it_and_none_above_it_is_taken(tmp_path: Path) -> None:
    with access(parse_address(f"{tmp_path}/x/"), None) as env:
        values = {env[f"GIT_CONFIG_VALUE_{n}"] for n in range(int(env["GIT_CONFIG_COUNT"]))}
        assert {f"{tmp_path}/x", os.path.realpath(f"{tmp_path}/x") + "/.git"} <= values
        assert env["GIT_CEILING_DIRECTORIES"] == str(tmp_path)
