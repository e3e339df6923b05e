"""What one pass of the watchdog has seen: every store, server and policy is asked once, whatever asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar, cast

from include.recovery.catalog.archive_proofs import ArchiveProof, ArchiveProofs, By
from include.recovery.catalog.looks import SourceLook, newest_look
from include.recovery.catalog.model import Backup
from include.recovery.coverage.databases import Server, reached_sources, servers
from include.recovery.errors import LifeboatError
from include.recovery.pgbackrest.protection import Protection, watch_primary
from include.recovery.policy.last_valid import last_valid
from include.recovery.policy.models import PRIMARY, PostgresSource, ProtectedSystem, Source
from include.recovery.workspace import Workspace

Answer = TypeVar("Answer")


class ToldElsewhere(Exception):
    """A check cannot be made, and the check that tells why is another one."""


@dataclass
class Look:
    """One pass.

    :param now: the time of the whole pass, aware.
    :param stores: the listing of each store, or why there is none.
    :param systems: those that are watched. Of a system whose policy is broken now, what it promised when it was valid.
    """

    workspace: Workspace
    now: datetime
    stores: Mapping[str, list[Backup] | LifeboatError]
    systems: tuple[ProtectedSystem, ...]
    _asked: dict[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def around(cls, workspace: Workspace, now: datetime, systems: Iterable[str] = ()) -> Look:
        """Look at all stores and policies. What does not answer is part of what was seen.

        :param systems: only these; none means all.
        :raises PolicyError: when the platform's policy cannot be used, or a system that was asked for is not known.
        """
        policies = workspace.policies
        stores: dict[str, list[Backup] | LifeboatError] = {}
        for name in policies.platform.stores:
            try:
                stores[name] = workspace.catalog(name).backups()
            except LifeboatError as error:
                stores[name] = error
        chosen = [workspace.system(name) for name in systems] or [
            *policies.systems.values(), *_as_they_were(workspace)
        ]
        return cls(workspace, now, stores, tuple(chosen))

    def backups(self, system: str, source: str, store: str) -> list[Backup]:
        """A source's backups in a store, of every kind.

        :raises ToldElsewhere: when the store does not answer.
        """
        listed = self.stores.get(store, LifeboatError(f"store {store} is not defined"))
        if isinstance(listed, LifeboatError):
            raise ToldElsewhere from listed
        return [each for each in listed if (each.manifest.system, each.manifest.source) == (system, source)]

    def protection(self, system: ProtectedSystem, source: PostgresSource) -> Protection:
        """The primary's disk, queue, slots and archiving.

        :raises SourceUnavailable, SourceError: when it cannot be asked.
        """
        assert source.physical is not None
        assert source.wal is not None
        queue, allowance = source.physical.queue_max, source.wal.push_allowance
        return self._once(
            f"protection {system.system}/{source.name}",
            lambda: watch_primary(self.workspace.cluster(source), queue_max=queue, allowance=allowance),
        )

    def servers(self) -> list[Server]:
        """The PostgreSQL servers of all policies, with what each lists. What a broken policy protected counts too."""
        systems = {system.system: system for system in (*self.workspace.policies.systems.values(), *self.systems)}
        return self._once("servers", lambda: servers(reached_sources(self.workspace, systems.values())[0]))

    def archive_proof(self, system: str, source: str, store: str, by: By) -> ArchiveProof | None:
        """What was last found out about a source's WAL archive in a store; None when nobody looked yet.

        :raises LifeboatError: when it cannot be read.
        """
        proofs = ArchiveProofs(self.workspace.store(PRIMARY))
        return self._once(f"{by} {system}/{source}/{store}", lambda: proofs.newest(system, source, store, by))

    def look_at(self, system: str, source: str, tier: str) -> SourceLook | None:
        """When a tier last found its source unchanged; None when it never did.

        :raises LifeboatError: when it cannot be read.
        """
        store = self.workspace.store(PRIMARY)
        return self._once(f"look {system}/{source}/{tier}", lambda: newest_look(store, system, source, tier))

    def _once(self, name: str, ask: Callable[[], Answer]) -> Answer:
        """An answer, or the error, of the first time that it was asked for."""
        if name not in self._asked:
            try:
                self._asked[name] = ask()
            except LifeboatError as error:
                self._asked[name] = error
        answer = self._asked[name]
        if isinstance(answer, LifeboatError):
            raise answer
        return cast("Answer", answer)


@dataclass(frozen=True)
class Subject:
    """What a check is about: one source of one system.

    :param known: since when the watchdog knows of what, by its description: it is not late for what was due before.
    """

    look: Look
    system: ProtectedSystem
    source: Source
    known: Mapping[str, datetime]

    @property
    def now(self) -> datetime:
        """The time of the pass."""
        return self.look.now

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.system.system}/{self.source.name}"

    def backups(self, store: str) -> list[Backup]:
        """The source's backups in a store.

        :raises ToldElsewhere: when the store does not answer.
        """
        return self.look.backups(self.system.system, self.source.name, store)

    def known_since(self, what: str) -> datetime:
        """Since when the watchdog knows of something; from now on, when it does not yet."""
        return self.known.get(what, self.now)


def _as_they_were(workspace: Workspace) -> list[ProtectedSystem]:
    """What systems promised whose policies are broken now."""
    found = []
    for name in workspace.policies.broken:
        try:
            system = last_valid(workspace.store(PRIMARY), name)
        except LifeboatError:
            # The broken policy, and a store that does not answer, are told by the check of the platform.
            continue
        if system is not None:
            found.append(system)
    return found
