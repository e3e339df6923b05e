"""A server of its own in a folder, restored from a snapshot and opened with the original's unseal keys.

By default it has no network at all (it is reached through a unix socket): an opened copy believes that it is the
original, and would end leases that have run out, at the databases and clouds where they were given.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from include.recovery.content import scratch_process
from include.recovery.content.http_service import HttpService
from include.recovery.errors import CopyLost, LifeboatError
from include.recovery.postgres.scratch_process import last_words, socket_directory, wait_until
from include.recovery.vault.client import Vault

Network = Literal["none", "host"]
_BLOCK = 1024 * 1024
_SECONDS = 60


def start(
    folder: Path,
    snapshot: Path,
    keys: Sequence[str],
    *,
    shares: int,
    threshold: int,
    program: str,
    network: Network,
    whose: str,
) -> None:
    """Start a server in a folder, restore a snapshot into it, and unseal it.

    :param keys: unseal keys of the original, as of the snapshot.
    :param shares: as many keys as the original has, of which ``threshold`` open it.
    :param program: ``bao`` or ``vault``.
    :param whose: where the keys are from, for messages.
    :raises LifeboatError: when it cannot be started, or does not take the snapshot.
    :raises SourceError: when the keys do not open it.
    """
    executable = shutil.which(program)
    if executable is None:
        raise LifeboatError(
            f"{program} is not on PATH, and without it no copy of a Vault can be opened; install it on this worker, or "
            "name the other one in 'program' (a snapshot wants the same product, of the same version or a newer one)"
        )
    (folder / "data").mkdir(mode=0o700)
    socket = f"{socket_directory(folder)}/api.sock"
    (folder / "socket.path").write_text(socket)
    (folder / "server.json").write_text(json.dumps(_configuration(folder, socket, network)))
    env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(folder)}
    argv = [executable, "server", f"-config={folder / 'server.json'}"]
    process = scratch_process.start(folder, argv, env=env, alone=network == "none")
    with _connected(folder) as vault:
        scratch_process.wait_ready(folder, process, lambda: Path(socket).exists() and _answers(vault), seconds=_SECONDS)
        # In the original's shape, as a server that takes a snapshot goes on putting keys together as it did before.
        own = vault.ask("PUT", "sys/init", {"secret_shares": shares, "secret_threshold": threshold})
        vault.unseal(own["keys"], "its own")
        vault.log_in(own["root_token"])
        _until(lambda: _active(vault), f"the copy in {folder} does not become active", folder)
        with snapshot.open("rb") as file:
            vault.restore(iter(lambda: file.read(_BLOCK), b""))
        # It takes the snapshot, finds that its own key does not fit, and seals itself.
        _until(lambda: bool(vault.seal_status()["sealed"]), f"the copy in {folder} does not take the snapshot", folder)
        vault.unseal(keys, whose)
        _until(lambda: _active(vault), f"the copy in {folder} is unsealed and does not become active", folder)


@contextmanager
def opened(folder: Path, keys: Sequence[str]) -> Iterator[Vault]:
    """The server that runs in a folder, with a root token for as long as the block lasts.

    :raises CopyLost: when it runs no more, or is sealed.
    """
    if scratch_process.attach(folder) is None:
        raise CopyLost(f"the server of the copy in {folder} has died; restore again")
    with _connected(folder) as vault:
        if vault.seal_status()["sealed"]:
            raise CopyLost(f"the server of the copy in {folder} is sealed; restore again")
        vault.log_in(vault.root_token(keys))
        try:
            yield vault
        finally:
            vault.ask("POST", "auth/token/revoke-self", fine=(403,))


def remove(folder: Path) -> None:
    """End the server in a folder and remove the folder."""
    scratch_process.remove(folder)


@contextmanager
def _connected(folder: Path) -> Iterator[Vault]:
    socket = (folder / "socket.path").read_text()
    with HttpService(f"the copy in {folder}", "http://copy", socket=socket, timeout=_SECONDS) as service:
        yield Vault(service)


def _configuration(folder: Path, socket: str, network: Network) -> dict[str, object]:
    # In a network of its own every port is free.
    api, cluster = (8200, 8201) if network == "none" else (scratch_process.free_port(), scratch_process.free_port())
    return {
        # Alone in its cluster, it need not wait long for others before it leads.
        "storage": {"raft": {"path": str(folder / "data"), "node_id": "copy", "performance_multiplier": 1}},
        "listener": [
            {"unix": {"address": socket, "socket_mode": "600", "disable_unauthed_generate_root_endpoints": False}},
            # Raft wants an address for the other nodes of its cluster, though there are none.
            {"tcp": {"address": f"127.0.0.1:{api}", "cluster_address": f"127.0.0.1:{cluster}", "tls_disable": True}},
        ],
        "api_addr": f"http://127.0.0.1:{api}",
        "cluster_addr": f"https://127.0.0.1:{cluster}",
        "disable_mlock": True,
        "ui": False,
    }


def _answers(vault: Vault) -> bool:
    try:
        return "sealed" in vault.seal_status()
    except LifeboatError:
        return False


def _active(vault: Vault) -> bool:
    try:
        return bool(vault.ask("GET", "sys/leader")["is_self"])
    except LifeboatError:
        return False


def _until(condition: Callable[[], bool], message: str, folder: Path) -> None:
    began = time.monotonic()
    wait_until(condition, _SECONDS)
    if time.monotonic() - began >= _SECONDS:
        said = last_words(folder / scratch_process.LOG)
        raise LifeboatError(f"{message} within {_SECONDS} s: {said}")
