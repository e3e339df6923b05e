"""Redis as a kind of source: its items are the keys of all logical databases, and libraries of functions."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, time

from redis.exceptions import RedisError, ResponseError

from include.recovery.content import scratch_server
from include.recovery.content.model import Item
from include.recovery.content.parts import StoredParts
from include.recovery.content.port import EVERYTHING, Captured, PutBack, Restored, Selection, Sink, Site, Stored
from include.recovery.errors import Refused, SourceError
from include.recovery.evidence.model import Check, Outcome
from include.recovery.policy.source_kinds.redis import KeysQuestion, RedisSource
from include.recovery.redis import scratch
from include.recovery.redis.connect import Link, information, translated
from include.recovery.redis.inventory import NOT_COMPARED, all_items, scanned
from include.recovery.redis.put_back import Work
from include.recovery.redis.rdb import transfer
from include.recovery.sources.run_info import RunInfo

RedisSite = Site[RedisSource]
PART = "rdb"
_CHUNK = 1024 * 1024


class RedisKind:
    """See ``content/port.py``."""

    name = "redis"
    unit = "key"

    def describe(self, source: RedisSource) -> str:
        """What the source is, in words."""
        return f"Redis, all databases of {source.connection}"

    def precheck(self, site: RedisSite) -> str:
        """Whether the server would send its RDB, and to a Redis here that can read it."""
        about = _about(site)
        keys = [f"{value} in {name}" for name, value in sorted(about.items()) if name.startswith("db")]
        return (
            f"Redis {about.get('redis_version', '')} can be copied ({'; '.join(keys) or 'no keys'}); measuring needs "
            f"{about.get('used_memory_human', 'as much')} of this worker's memory, on its Redis {scratch.version()}"
        )

    def capture(self, site: RedisSite, sink: Sink) -> Captured:
        """Store the RDB, and measure it on a server of our own that was given the same bytes."""
        about = _about(site)
        _leave_out(site, sink)
        began = site.now()
        with _folder() as folder, scratch.place_for_rdb(folder).open("wb") as file:
            with sink.writing(PART) as part:

                def write(piece: bytes) -> None:
                    part.write(piece)
                    file.write(piece)

                size = transfer(site.connection(site.source.connection), site.name, site.stop, write)
            file.close()
            for item in _measured(folder, site):
                sink.item(item)
        return Captured(
            snapshot_at=began, server_version=about.get("redis_version", ""),
            tools={"redis-server": scratch.version()}, size=size, not_compared=NOT_COMPARED,
        )  # fmt: skip

    def live_items(self, site: RedisSite) -> Iterator[Item]:
        """Keys as they are now: in one moment too, by the same stream."""
        with _folder() as folder:
            with scratch.place_for_rdb(folder).open("wb") as file:
                transfer(site.connection(site.source.connection), site.name, site.stop, file.write)
            yield from _measured(folder, site)

    def restore(self, site: RedisSite, stored: Stored, folder: Path, only: Selection = EVERYTHING) -> Restored:
        """Start a server on the RDB; a selection says what of it is compared."""
        scratch.discard(folder)
        folder.mkdir(mode=0o700)
        _fetch(stored, folder)
        server = scratch.start(folder, only.prefixes)
        return Restored(0, f"Redis on the socket {server.address}, in {folder}", (
            f"no key of the copy expires; when they did is in the hash {scratch.EXPIRES!r} of each database",
        ))  # fmt: skip

    def items(self, site: RedisSite, folder: Path) -> Iterator[Item]:
        """What a copy holds, read from its server."""
        server = scratch_server.running(folder)
        only = Selection(server.prefixes)
        with translated(f"the copy in {folder}"):
            yield from (item for item in all_items(server.address, site.stop) if only.wants(item.name))

    def questions(self, site: RedisSite, folder: Path) -> Sequence[Check]:
        """The policy's counts, put to a copy."""
        server = scratch_server.running(folder)
        return [_ask(server.address, question, site.source.name) for question in site.source.questions]

    def discard(self, folder: Path) -> None:
        """End the copy's server and remove the folder."""
        scratch.discard(folder)

    def put_back(self, site: RedisSite, stored: Stored, only: Selection = EVERYTHING) -> PutBack:
        """Back up what is there, then change the keys that differ."""
        if site.source.restore_connection is None:
            raise Refused(
                f"{site.name}: nothing is put back, since the policy names no 'restore_connection'; name the "
                "connection of a login that may write"
            )
        live = site.connection(site.source.restore_connection)
        with _folder() as folder:
            _fetch(stored, folder)
            with scratch.running(folder) as socket, _present(site, stored) as present, translated(site.name):
                work = Work(live, socket, site.name, lambda: int(time() * 1000))
                work.carry_out(
                    (item for item in stored.items() if only.wants(item.name)),
                    (item for item in present.items() if only.wants(item.name)),
                )
        aside = f"backup {present.manifest.name}, which is held"
        if work.written:
            raise SourceError(
                f"{site.name}: {len(work.written)} keys were written meanwhile and left as they are, such as "
                f"{work.written[0]!r}; {work.changed} are put back; stop the writers and run it again ({aside})"
            )
        gone = f"{work.expired} keys of the backup have expired since and were not put back"
        return PutBack(work.changed, aside, (gone,) if work.expired else ())


def _about(site: RedisSite) -> dict[str, str]:
    """What the server says of itself.

    :raises SourceError: when it is one of a cluster, of which a backup would hold a part.
    """
    with translated(site.name), Link.of(site.connection(site.source.connection)) as link:
        about = information(link)
        if about.get("cluster_enabled") == "1":
            raise SourceError(
                f"{site.name}: the server is a node of a Redis cluster and holds only some of its keys; clusters are "
                "not supported"
            )
        link.call("REPLCONF", "capa", "eof")  # harmless, and refused where copying would be
    scratch.must_read(about.get("redis_version", ""), scratch.version(), site.name)
    return about


def _leave_out(site: RedisSite, sink: Sink) -> None:
    sink.leave_out("cached scripts (EVALSHA)", "applications send them again when they are told NOSCRIPT")
    sink.leave_out("configuration (redis.conf)", "it is a file: back it up with the source that holds configuration")
    users = "users of the access control list"
    try:
        with Link.of(site.connection(site.source.connection)) as link:
            names = sorted(name.decode("utf-8", "replace") for name in link.call("ACL", "USERS"))
            users += ": " + ", ".join(names)
    except (ResponseError, RedisError):
        users += " (they could not be listed)"
    sink.leave_out(users, "they are in a file of the server's; logins are made again with new passwords")


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lifeboat-redis-") as folder:
        yield Path(folder)


def _fetch(stored: Stored, folder: Path) -> None:
    with stored.open(PART) as stream, scratch.place_for_rdb(folder).open("wb") as file:
        while chunk := stream.read(_CHUNK):
            file.write(chunk)


def _measured(folder: Path, site: RedisSite) -> Iterator[Item]:
    with translated(f"{site.name}, on the worker's own server"), scratch.running(folder) as socket:
        yield from all_items(socket, site.stop)


@contextmanager
def _present(site: RedisSite, stored: Stored) -> Iterator[StoredParts]:
    """A backup of what is there now, which retention does not take."""
    from include.recovery.sources import content_verbs

    workspace = site.workspace
    manifest = content_verbs("redis").backup(
        workspace, site.system, site.source, None, run=RunInfo(run_id=f"put-back-{os.getpid()}", started_by="put back"),
        note=f"what was there before {stored.manifest.name} was put back", hold=True, stop=site.stop,
    )  # fmt: skip
    backup = workspace.catalog().backup(manifest.system, manifest.source, manifest.kind, manifest.id)
    yield StoredParts(backup, workspace.store("primary"), workspace.catalog().key(manifest, workspace.keyring()))


def _ask(socket: str, question: KeysQuestion, source: str) -> Check:
    began = monotonic()
    try:
        with Link.local(socket, question.database) as link:
            count = len({key for keys in scanned(link, question.keys) for key in keys})
        right, found = question.accepts(count), str(count)
    except RedisError as error:
        right, found = False, f"an error: {error}"
    return Check(
        name=question.name, outcome=Outcome.PASSED if right else Outcome.FAILED, source=source,
        expected=question.expected, found=found, output=f"db{question.database} {question.keys}\n{found}",
        seconds=round(monotonic() - began, 3),
    )  # fmt: skip


KIND = RedisKind()
