"""The buckets of every object store that the platform or a policy reaches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from include.recovery.connections import ConnectionInfo
from include.recovery.coverage.model import Found, Unseen
from include.recovery.errors import LifeboatError, StoreError, StoreUnavailable
from include.recovery.evidence.words import listed
from include.recovery.policy.models import S3StoreDefinition
from include.recovery.stores.s3 import S3Store

if TYPE_CHECKING:
    from include.recovery.workspace import Workspace

KIND = "bucket"
AWS = "AWS"
"""Where a bucket is whose connection names no endpoint."""


@dataclass(frozen=True)
class Use:
    """A bucket that the platform or a policy names.

    :param by: ``system/source``, or what it is for.
    """

    connection: str
    bucket: str
    by: str


@dataclass
class _Service:
    """One object store service, seen by all connections to it.

    :param covered: what uses each bucket that is named.
    :param names: the buckets that some connection lists.
    :param errors: why connections list none.
    """

    covered: dict[str, set[str]] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)

    def ask(self, connection: ConnectionInfo) -> None:
        """Let one more connection list what its user sees."""
        try:
            self.names |= set(buckets_of(connection))
        except LifeboatError as error:
            self.errors.append(str(error))


class Buckets:
    """See ``port.Discoverer``. A connection lists the buckets of its own account, or what its user may see."""

    name = "buckets"

    def discover(self, workspace: Workspace) -> Iterator[Found | Unseen]:
        """Each service once, by all connections together."""
        services: dict[str, _Service] = {}
        asked: set[str] = set()
        named = [*uses(workspace), *(Use(each, "", "") for each in workspace.policies.platform.discovery_connections)]
        for use in named:
            try:
                connection = workspace.connections(use.connection)
            except LifeboatError as error:
                yield Unseen(kind=KIND, where=f"connection {use.connection}", why=str(error))
                continue
            service = services.setdefault(str(connection.extra.get("endpoint_url") or AWS), _Service())
            if use.bucket:
                service.covered.setdefault(use.bucket, set()).add(use.by)
            if use.connection not in asked:
                asked.add(use.connection)
                service.ask(connection)
        for where, service in services.items():
            for name in sorted(service.names):
                yield Found(kind=KIND, where=where, name=name, covered_by=tuple(sorted(service.covered.get(name, ()))))
            hidden = sorted(set(service.covered) - service.names)
            if service.errors:
                yield from (Unseen(kind=KIND, where=where, why=why) for why in service.errors)
            elif hidden:
                yield Unseen(
                    kind=KIND, where=where,
                    why=f"no user of a connection sees {listed(hidden)}, so there may be others that nobody sees; name "
                    "a connection that lists all in 'discovery_connections' of platform.yaml",
                )


def buckets_of(connection: ConnectionInfo) -> Iterator[str]:
    """Every bucket that a connection's user may list.

    :raises StoreError: when it may list none.
    :raises StoreUnavailable: when the service does not answer.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    store = S3Store.from_connection(connection.id, "", connection)
    try:
        for page in store.client.get_paginator("list_buckets").paginate():
            for bucket in page.get("Buckets", ()):
                yield bucket["Name"]
    except ClientError as error:
        raise StoreError(
            f"connection {connection.id} may not list buckets ({error}); allow its user s3:ListAllMyBuckets, or look "
            "for unprotected buckets yourself"
        ) from error
    except BotoCoreError as error:
        raise StoreUnavailable(f"connection {connection.id}: the service does not answer: {error}") from error


def uses(workspace: Workspace) -> Iterator[Use]:
    """Every bucket that is named: stores, repositories, and sources that have a bucket and a connection."""
    for name, store in workspace.policies.platform.stores.items():
        if isinstance(store, S3StoreDefinition):
            yield Use(store.connection, store.bucket, f"store {name}")
            repository = store.repository_place
            yield Use(repository.connection, repository.bucket, f"repository of store {name}")
    for system in workspace.policies.systems.values():
        for source in system.sources:
            bucket, connection = getattr(source, "bucket", None), getattr(source, "connection", None)
            if isinstance(bucket, str) and isinstance(connection, str):
                yield Use(connection, bucket, f"{system.system}/{source.name}")
