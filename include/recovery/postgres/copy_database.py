"""A database of a running server copied to another server: dumps that go straight into restores, nothing on disk.

The same parts, order and phases as with a stored backup; only that each part is dumped when it is asked for.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import BinaryIO, cast

from include.recovery.catalog.model import Part
from include.recovery.errors import ToolFailed
from include.recovery.jobs import stopped_by
from include.recovery.parts.progress import NO_PROGRESS, Progress
from include.recovery.postgres import commands, tools
from include.recovery.postgres.failures import meaning
from include.recovery.postgres.grouping import Grouping, plan_groups
from include.recovery.postgres.restore import RestoreOptions, RestoreReport, restore_dumped
from include.recovery.postgres.roles import only_roles, roles_of_database
from include.recovery.postgres.server import PostgresServer
from include.recovery.postgres.snapshot import Snapshot, exported_snapshot
from include.recovery.processes import Crew

_LOCK_WAIT = 60
"""Seconds: nobody but us uses the server that is copied from."""


def copy_database(
    source: PostgresServer,
    target: PostgresServer,
    *,
    options: RestoreOptions | None = None,
    progress: Progress = NO_PROGRESS,
    stop: threading.Event | None = None,
) -> RestoreReport:
    """Copy a whole database into one that does not exist yet, or is empty.

    :param source: logged in as a superuser, such as a scratch server's.
    :param target: its database is the copy; the role may make databases.
    :param stop: ends the copy when set; what was made of it is dropped.
    :raises Refused: when the target exists and holds something.
    :raises ToolFailed, SourceError, SourceUnavailable: when a server or a tool fails.
    """
    with stopped_by(stop) as stopping, exported_snapshot(source) as snapshot, Crew(stopping) as crew:
        running = _Running.of(source, snapshot, crew)
        report = restore_dumped(
            running, target, database=target.database, options=options, progress=progress, stop=stopping
        )
        snapshot.check()
    return report


@dataclass(frozen=True)
class _Running:
    """A database under one snapshot, as ``Dumped`` describes it."""

    server: PostgresServer
    snapshot: Snapshot
    crew: Crew
    grouping: Grouping
    tools: tools.Tools
    roles: frozenset[str]
    parts: Sequence[Part] = field(default=())

    @classmethod
    def of(cls, server: PostgresServer, snapshot: Snapshot, crew: Crew) -> _Running:
        grouping = plan_groups(snapshot.tables)
        with server.connect() as connection:
            roles = frozenset(roles_of_database(connection))
        parts = [
            _part("globals", "globals", 0),
            _part("schema", "schema", 0),
            *(_part(group.name, "data", group.size) for group in grouping.groups),
            _part("rest", "data", grouping.rest_size),
        ]
        found = tools.find(tools.major_of(snapshot.server_version))
        return cls(server, snapshot, crew, grouping, found, roles, parts)

    @property
    def name(self) -> str:
        return self.server.redacted

    @property
    def server_version(self) -> str:
        return self.snapshot.server_version

    @property
    def written_by(self) -> str:
        return self.tools.version

    def open(self, part: Part, progress: Progress = NO_PROGRESS) -> BinaryIO:
        if part.role == "globals":
            return io.BytesIO(self._globals().encode())
        return cast("BinaryIO", _Dump(self, self._argv(part), part.name, progress))

    def stored_size(self, part: Part) -> int:
        return 0

    def _argv(self, part: Part) -> list[str]:
        if part.role == "schema":
            return commands.dump_schema(self.tools, self.snapshot.id, lock_wait=_LOCK_WAIT)
        for group in self.grouping.groups:
            if group.name == part.name:
                tables = [table.relation for table in group.tables]
                return commands.dump_tables(self.tools, self.snapshot.id, tables, lock_wait=_LOCK_WAIT)
        without = [table.relation for table in self.grouping.grouped]
        return commands.dump_rest(self.tools, self.snapshot.id, without, lock_wait=_LOCK_WAIT)

    def _globals(self) -> str:
        argv = commands.dump_globals(self.tools, self.server.database, passwords=True)
        try:
            script = self.crew.run(argv, env=self.server.environment()).decode()
        except ToolFailed as error:
            raise meaning(error, self.server, "dumping the roles") from error
        return only_roles(script, self.roles)


class _Dump(io.RawIOBase):
    """What a dump prints; its end is a promise that the dump has ended well."""

    def __init__(self, running: _Running, argv: Sequence[str], name: str, progress: Progress) -> None:
        self._running, self._name, self._progress = running, name, progress
        self._ends = ExitStack()
        child = self._ends.enter_context(
            running.crew.child(argv, env=running.server.environment(), stdout="pipe")
        )
        self._out = child.stdout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill a buffer; 0 at the end.

        :raises LifeboatError: when the dump has failed.
        """
        try:
            count = int(self._out.readinto(buffer))  # type: ignore[attr-defined]  # every binary stream has it
        except ToolFailed as error:
            raise meaning(error, self._running.server, f"dumping {self._name} of the recovered copy") from error
        self._progress.add(self._name, 0, count)
        return count

    def close(self) -> None:
        """End the dump, if it still runs."""
        self._ends.close()
        super().close()


def _part(name: str, role: str, size: int) -> Part:
    return Part.model_validate({"name": name, "role": role, "volumes": (), "content_size": size})
