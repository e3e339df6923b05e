"""What git is told by its environment, and credentials that reach git alone.

No configuration of the machine or of a user counts, no hook runs, nobody is asked anything, and only the protocol of
the address is allowed. Passwords come by a helper that reads them from its environment; an ssh key lies in a private
folder, which is gone afterwards. Nothing secret is ever in a URL or on a command line.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from include.recovery.connections import ConnectionInfo
from include.recovery.errors import SourceError
from include.recovery.git.address import Address

_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "TMPDIR", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy")
_CONFIGURATION = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.askPass": "",
    "credential.helper": "",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "fetch.recurseSubmodules": "false",
    "submodule.recurse": "false",
    "protocol.ext.allow": "never",
    "transfer.credentialsInUrl": "die",
    # A password is for the host that the policy names, and for none that it sends us to.
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
    # Each fetch leaves a pack, and packs are counted.
    "fetch.unpackLimit": "1",
    # Memory stays flat, however many versions of a large file there are.
    "pack.windowMemory": "64m",
    "pack.deltaCacheSize": "64m",
    "tar.umask": "0022",
}
_HELPER = """#!/bin/sh
case "$1" in
Username*) printf '%s\\n' "$LIFEBOAT_GIT_LOGIN" ;;
*) printf '%s\\n' "$LIFEBOAT_GIT_PASSWORD" ;;
esac
"""


def environment(*, protocol: str = "file", trusted: tuple[str, ...] = (), **more: str) -> dict[str, str]:
    """The whole environment of git for work that needs no credentials.

    :param protocol: the only one that git may use.
    :param trusted: folders of repositories that may belong to somebody else.
    :param more: further variables.
    """
    settings = list(_CONFIGURATION.items()) + [("safe.directory", folder) for folder in trusted]
    env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    env |= {
        "LC_ALL": "C.UTF-8",
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_ALLOW_PROTOCOL": protocol,
        "GIT_CONFIG_COUNT": str(len(settings)),
    }
    for number, (name, value) in enumerate(settings):
        env |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return env | more


@contextmanager
def access(address: Address, connection: ConnectionInfo | None) -> Iterator[dict[str, str]]:
    """The environment in which git reaches an address; what it needs for that is removed afterwards.

    :raises SourceError: when the connection does not fit the address, saying what it has to hold.
    """
    if address.local:
        path = address.text.rstrip("/") or "/"
        folders = {path, os.path.realpath(path)}
        trusted = tuple(sorted(folders | {f"{folder}/.git" for folder in folders}))
        yield environment(trusted=trusted, GIT_CEILING_DIRECTORIES=str(Path(path).parent))
        return
    with tempfile.TemporaryDirectory(prefix="lifeboat-git-") as private:
        yield environment(protocol=address.scheme) | _credentials(address, connection, Path(private))


def _credentials(address: Address, connection: ConnectionInfo | None, private: Path) -> dict[str, str]:
    more = {"HOME": str(private)}
    if address.scheme == "ssh":
        return more | _ssh(address, connection, private)
    if connection is None:
        return more
    if authority := connection.extra.get("ca_bundle"):
        more["GIT_SSL_CAINFO"] = str(authority)
    if not connection.password:
        return more
    if not address.takes_password:
        raise SourceError(
            f"{address.text}: connection {connection.id!r} has a password, and {address.scheme} would send it in plain "
            f"text; use https or ssh"
        )
    helper = _private_file(private / "answer", _HELPER, 0o700)
    login = connection.login or "git"
    return more | {
        "GIT_ASKPASS": str(helper), "LIFEBOAT_GIT_LOGIN": login, "LIFEBOAT_GIT_PASSWORD": connection.password,
    }  # fmt: skip


def _ssh(address: Address, connection: ConnectionInfo | None, private: Path) -> dict[str, str]:
    """A key that only git's ssh sees, and the host's own key, without which nobody knows who answers."""
    extra: Mapping[str, object] = connection.extra if connection is not None else {}
    lacking = [name for name in ("private_key", "host_key") if not extra.get(name)]
    if lacking:
        which = f"connection {connection.id!r}" if connection is not None else "a connection, which the policy lacks,"
        raise SourceError(
            f"{address.text}: {which} must hold {' and '.join(lacking)} in its extra: the private key in PEM form "
            f"without a passphrase, and the host's public key as ssh-keyscan prints it without the host's name"
        )
    key = _private_file(private / "key", str(extra["private_key"]).strip() + "\n", 0o600)
    name = address.host if address.port in (None, 22) else f"[{address.host}]:{address.port}"
    hosts = _private_file(private / "known_hosts", f"{name} {str(extra['host_key']).strip()}\n", 0o600)
    options = {
        "BatchMode": "yes", "IdentitiesOnly": "yes", "IdentityFile": str(key), "IdentityAgent": "none",
        "UserKnownHostsFile": str(hosts), "GlobalKnownHostsFile": "/dev/null", "StrictHostKeyChecking": "yes",
        "ConnectTimeout": "20", "ServerAliveInterval": "15", "ServerAliveCountMax": "4",
    }  # fmt: skip
    words = " ".join(f"-o {option}={value}" for option, value in options.items())
    return {"GIT_SSH_COMMAND": f"ssh -F none {words}", "GIT_SSH_VARIANT": "ssh"}


def _private_file(path: Path, text: str, mode: int) -> Path:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
    return path
