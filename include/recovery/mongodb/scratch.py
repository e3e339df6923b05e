"""The server of a copy: ``mongod`` where it is installed, else nx-27017, on a loopback port that nobody is told."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from pymongo.errors import PyMongoError

from include.recovery.content import scratch_server
from include.recovery.content.scratch_server import Server
from include.recovery.errors import LifeboatError
from include.recovery.mongodb.connect import Client, local_client

_ATTEMPTS = 3
_NX = "from nx_27017.nx_27017 import main; main()"
NX = "nx-27017"


def start(folder: Path, prefixes: tuple[str, ...]) -> Server:
    """Start an empty server in an empty folder.

    :param prefixes: of the selection that is going to be restored.
    :raises LifeboatError: when neither server is installed, or it does not start.
    """
    data = folder / "data"
    data.mkdir(mode=0o700)
    for attempt in range(1, _ATTEMPTS + 1):
        port = scratch_server.free_port()
        server = scratch_server.launch(
            _command(folder, data, port), folder, str(port), env=dict(os.environ), prefixes=prefixes
        )
        try:
            _wait(folder, server)
        except LifeboatError:
            # Somebody may have taken the port between our look and the server's.
            if attempt == _ATTEMPTS or server.running:
                raise
        else:
            return server
    raise AssertionError


def client_of(server: Server) -> Client:
    """A client of a copy's server."""
    return local_client(int(server.address))


def is_stand_in(server: Server) -> bool:
    """Whether it is another program than MongoDB's own."""
    return server.tool != "mongod"


def _wait(folder: Path, server: Server) -> None:
    with client_of(server) as client:
        scratch_server.wait_until_ready(lambda: _answers(client), lambda: server.running, folder, server.tool)


def _command(folder: Path, data: Path, port: int) -> list[str]:
    mongod = shutil.which("mongod")
    if mongod is not None:
        # Documents whose time has come by a TTL index must stay, or a copy would differ from its backup for no fault.
        return [
            mongod, "--dbpath", str(data), "--bind_ip", "127.0.0.1", "--port", str(port), "--nounixsocket",
            "--setParameter", "ttlMonitorEnabled=false", "--setParameter", "diagnosticDataCollectionEnabled=false",
        ]  # fmt: skip
    if importlib.util.find_spec("nx_27017") is None:
        raise LifeboatError(
            "a copy of a MongoDB backup needs a server on the worker, and mongod is not on PATH; install "
            "mongodb-org-server"
        )
    return [
        sys.executable, "-c", _NX, "--data-dir", str(data), "--host", "127.0.0.1", "-p", str(port),
        "--log-file", str(folder / "nx.log"), "--pid-file", str(folder / "nx.pid"),
    ]  # fmt: skip


def _answers(client: Client) -> bool:
    try:
        client.admin.command("ping")
    except PyMongoError:
        return False
    return True
