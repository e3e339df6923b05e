"""The databases of every PostgreSQL server that a policy reaches: a database in no policy is lost with its server."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from include.recovery.coverage.model import Found, Unseen
from include.recovery.errors import LifeboatError
from include.recovery.fingerprint.session import rows
from include.recovery.fingerprint.tables import list_tables
from include.recovery.policy.models import PostgresSource, ProtectedSystem
from include.recovery.postgres.failures import meaning_of_session
from include.recovery.postgres.server import MAINTENANCE_DATABASE, PostgresServer

if TYPE_CHECKING:
    from include.recovery.workspace import Workspace

KIND = "database"
_AT_ONCE = 8
_SERVICES = ("rdsadmin", "cloudsqladmin", "azure_maintenance", "azure_sys")
_LISTING = "SELECT datname::text, datistemplate FROM pg_catalog.pg_database ORDER BY datname"
_IDENTITY = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()"
_KEPT = re.compile(r".*_(before|restored)_\d{8}t\d{6}z")


@dataclass(frozen=True)
class Reached:
    """A source, and the server that its backup connection reaches."""

    system: ProtectedSystem
    source: PostgresSource
    server: PostgresServer

    @property
    def name(self) -> str:
        """As ``system/source``."""
        return f"{self.system.system}/{self.source.name}"

    @property
    def where(self) -> str:
        """The server's address."""
        return f"{self.server.host}:{self.server.port}"


@dataclass(frozen=True)
class Listing:
    """What a server lists.

    :param identity: the cluster's own; its address where it does not tell.
    :param databases: name to whether it is a template.
    :param empty: databases that hold no table.
    """

    where: str
    identity: str
    databases: Mapping[str, bool]
    empty: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Server:
    """A server with all sources on it, whatever names their connections give it.

    :param reached: in the order of the systems' priority; never empty.
    :param listing: None when it could not be asked.
    :param why: it could not be asked; a clause.
    """

    reached: tuple[Reached, ...]
    listing: Listing | None
    why: str = ""

    @property
    def where(self) -> str:
        """The address that is shown."""
        return self.reached[0].where

    def found(self) -> Iterator[Found]:
        """What its databases are to the policies; nothing when it could not be asked."""
        return iter(()) if self.listing is None else judge_databases(self.listing, self.reached)


class Databases:
    """See ``port.Discoverer``."""

    name = "databases"

    def discover(self, workspace: Workspace) -> Iterator[Found | Unseen]:
        """Each server once."""
        reached, unseen = reached_sources(workspace, workspace.policies.systems.values())
        yield from unseen
        for server in servers(reached):
            yield from server.found()
            if server.listing is None:
                yield Unseen(kind=KIND, where=server.where, why=server.why)


def reached_sources(
    workspace: Workspace, systems: Iterable[ProtectedSystem]
) -> tuple[list[Reached], list[Unseen]]:
    """Every PostgreSQL source of some systems, in their order; and connections that are not defined."""
    reached, unseen = [], []
    for system in systems:
        for source in system.databases:
            try:
                reached.append(Reached(system, source, workspace.server(source)))
            except LifeboatError as error:
                unseen.append(Unseen(kind=KIND, where=f"connection {source.connections.backup}", why=str(error)))
    return reached, unseen


def servers(reached: Sequence[Reached]) -> list[Server]:
    """The servers of sources, each asked once for what it lists; two addresses of one cluster are one server."""
    by_address: dict[str, list[Reached]] = {}
    for each in reached:
        by_address.setdefault(each.where, []).append(each)

    def ask(there: list[Reached]) -> Listing | str:
        try:
            return listing_of(there[0].server)
        except LifeboatError as error:
            return str(error)

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="coverage") as pool:
        answers = list(pool.map(ask, by_address.values()))
    together: dict[str, tuple[list[Reached], Listing | str]] = {}
    for there, answer in zip(by_address.values(), answers, strict=True):
        identity = answer.identity if isinstance(answer, Listing) else there[0].where
        together.setdefault(identity, ([], answer))[0].extend(there)
    return [
        Server(tuple(there), answer) if isinstance(answer, Listing) else Server(tuple(there), None, answer)
        for there, answer in together.values()
    ]


def listing_of(server: PostgresServer) -> Listing:
    """What a server lists.

    :raises SourceUnavailable, SourceError: when it cannot be asked.
    """
    where = f"{server.host}:{server.port}"
    try:
        with server.connect() as session:
            databases = {str(name): bool(template) for name, template in rows(session, _LISTING)}
            try:
                identity = str(rows(session, _IDENTITY)[0][0])
            except psycopg.errors.InsufficientPrivilege:
                identity = where
    except psycopg.Error as error:
        raise meaning_of_session(error, server, "listing its databases") from error
    empty = {MAINTENANCE_DATABASE} if _is_empty(server.with_database(MAINTENANCE_DATABASE)) else set()
    return Listing(where, identity, databases, frozenset(empty))


def judge_databases(listing: Listing, reached: Sequence[Reached]) -> Iterator[Found]:
    """What a server's databases are to the policies. Pure.

    :param reached: the sources that are on this server.
    """
    clusters = sorted(each.name for each in reached if each.source.physical is not None)
    for name, template in listing.databases.items():
        covered = tuple(sorted(each.name for each in reached if each.source.database == name))
        purpose = "" if covered else _purpose(name, template, listing, reached)
        note = ""
        if not covered and not purpose and clusters:
            note = f"the base backups of {' and '.join(clusters)} hold it, and no drill looks at it"
        yield Found(
            kind=KIND, where=listing.where, name=name, covered_by=covered, on_purpose=purpose, note=note
        )


def _purpose(name: str, template: bool, listing: Listing, reached: Iterable[Reached]) -> str:
    """Why a database that is in no policy needs none; empty when it does."""
    if name in _SERVICES:
        return "the managed service's own, which nobody else can read"
    if template:
        return "a template, from which databases are made"
    if name == MAINTENANCE_DATABASE and name in listing.empty:
        return "the server's own, and nobody keeps a table in it"
    if _KEPT.fullmatch(name) and any(name.startswith(_stem(each.source.database)) for each in reached):
        return "a copy that Lifeboat keeps of a database that was replaced, or is restoring"
    return ""


def _stem(database: str) -> str:
    """What is left of a database's name in those of its copies, however long it is."""
    return database.encode()[:36].decode(errors="ignore")


def _is_empty(server: PostgresServer) -> bool:
    """Whether a database holds no table. One that cannot be looked at may hold some."""
    try:
        with server.connect() as session:
            return not [table for table in list_tables(session, {}) if not (table.why_not or "").startswith("belongs")]
    except (LifeboatError, psycopg.Error):
        return False
