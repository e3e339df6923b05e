"""A Redis of our own that holds exactly what an RDB held at its moment, also the keys that have expired since.

Redis takes expired keys away when it loads an RDB as a master, when it looks at them, and by itself ten times a second;
a replica keeps them, and hides them from whoever asks. But while it loads an append-only file, nothing expires: neither
in the RDB that the file begins with, nor for the commands that follow. So the RDB becomes the base of such a file, and
one script follows it: it writes the expiry of each key into a hash and makes the key persistent. When the server
answers, no key has an expiry any more, and the hash says what it was.

The data is in this machine's memory then, and its RDB in the folder: as much as Redis itself takes for it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from redis.exceptions import BusyLoadingError, RedisError
from redis.exceptions import TimeoutError as LinkSilent

from include.recovery.content import scratch_server
from include.recovery.content.scratch_server import Server
from include.recovery.errors import LifeboatError, SourceError
from include.recovery.processes import Child, run_tool
from include.recovery.redis.connect import Link

DATABASES = 1024
EXPIRES = b"\x00lifeboat:expires\x00"
"""Key of the hash, in each logical database: key to milliseconds since 1970."""
_TOOL = "redis-server"
_SCRIPT = """
for database = 0, tonumber(ARGV[1]) - 1 do
  redis.call('SELECT', database)
  local cursor = '0'
  repeat
    local found = redis.call('SCAN', cursor, 'COUNT', '1000')
    cursor = found[1]
    for _, key in ipairs(found[2]) do
      local at = redis.call('PEXPIRETIME', key)
      if at >= 0 then
        redis.call('HSET', ARGV[2], key, string.format('%.0f', at))
        redis.call('PERSIST', key)
      end
    end
  until cursor == '0'
end
"""
_CONFIGURATION = """\
port 0
unixsocket "{socket}"
unixsocketperm 700
dir "{folder}"
databases {databases}
save ""
appendonly yes
appendfsync no
auto-aof-rewrite-percentage 0
aof-load-truncated no
busy-reply-threshold 0
activerehashing no
maxmemory 0
daemonize no
"""
_MANIFEST = "file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n"


def place_for_rdb(folder: Path) -> Path:
    """Where a server in the folder expects its RDB; the folder is made ready for it."""
    files = folder / "appendonlydir"
    files.mkdir(mode=0o700)
    (files / "appendonly.aof.manifest").write_text(_MANIFEST)
    (files / "appendonly.aof.1.incr.aof").write_bytes(
        _command(b"EVAL", _SCRIPT.encode(), b"0", str(DATABASES).encode(), EXPIRES)
    )
    return files / "appendonly.aof.1.base.rdb"


def start(folder: Path, prefixes: tuple[str, ...]) -> Server:
    """Start a server on the RDB in the folder that outlives us.

    :raises LifeboatError: when it does not load it, with its own words.
    """
    socket = _socket(folder)
    argv = _prepared(folder, socket)
    server = scratch_server.launch(argv, folder, socket, env=dict(os.environ), prefixes=prefixes)
    _wait(folder, socket, lambda: server.running)
    return server


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """A server on the RDB in the folder for as long as the block; the kernel ends it with us.

    :return: the path of its socket.
    """
    socket = _socket(folder)
    try:
        argv = [*_prepared(folder, socket), "--logfile", str(folder / scratch_server.LOG)]
        with Child(argv, env=dict(os.environ)) as child:
            _wait(folder, socket, lambda: child.running)
            yield socket
    finally:
        shutil.rmtree(_socket_folder(folder), ignore_errors=True)


def discard(folder: Path) -> None:
    """End the server of a folder and remove both folders."""
    scratch_server.discard(folder)
    shutil.rmtree(_socket_folder(folder), ignore_errors=True)


def version() -> str:
    """Of the server that is installed here.

    :raises LifeboatError: when none is.
    """
    words = run_tool([_found(), "--version"], env=dict(os.environ)).decode().split()
    return next((word[2:] for word in words if word.startswith("v=")), "unknown")


def must_read(server: str, ours: str, where: str) -> None:
    """Nothing when a server of ours can load the RDB of another.

    :raises SourceError: when that one is newer.
    """
    theirs, mine = (tuple(int(part) for part in text.split(".")[:2] if part.isdigit()) for text in (server, ours))
    if theirs > mine:
        raise SourceError(
            f"{where}: Redis {server} writes an RDB that this worker's Redis {ours} may not be able to read; install "
            "one that is not older"
        )


def _prepared(folder: Path, socket: str) -> list[str]:
    configuration = folder / "redis.conf"
    configuration.write_text(_CONFIGURATION.format(socket=socket, folder=folder, databases=DATABASES))
    return [_found(), str(configuration)]


def _found() -> str:
    found = shutil.which(_TOOL)
    if found is None:
        raise LifeboatError(
            f"{_TOOL} is not on PATH; what a Redis backup holds is measured on a server of the worker's own, so "
            "install the package redis-server (7.0 or later)"
        )
    return found


def _wait(folder: Path, socket: str, alive: Callable[[], bool]) -> None:
    def ready() -> bool:
        while alive():
            try:
                with Link.local(socket) as link:
                    link.call("PING")
            except (BusyLoadingError, LinkSilent):  # it is there, and loading takes as long as it takes
                scratch_server.pause()
                continue
            except (RedisError, OSError):
                return False
            return True
        return False

    scratch_server.wait_until_ready(ready, alive, folder, _TOOL)


def _socket(folder: Path) -> str:
    """In a folder of its own with a short name: the path of a socket ends at 107 bytes."""
    place = _socket_folder(folder)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(mode=0o700)
    return str(place / "socket")


def _socket_folder(folder: Path) -> Path:
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"lifeboat-redis-{os.geteuid()}-{name}"


def _command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
