"""The buckets of every object store that the platform or a policy reaches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from include.recovery.connections import ConnectionInfo
from include.recovery.coverage.model import Found, Unseen
from include.recovery.errors import LifeboatError, StoreError, StoreUnavailable
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

    :param names: the buckets that some connection lists.
    :param errors: why a connection lists none, by its id.
    """

    covered: dict[str, set[str]] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    errors: dict[str, str] = field(default_factory=dict)


class Buckets:
    """See ``port.Discoverer``. A connection lists the buckets of its own account, or what its user may see."""

    name = "buckets"

    def discover(self, workspace: Workspace) -> Iterator[Found | Unseen]:
        """Each service once, by all connections together."""
        services: dict[str, _Service] = {}
        asked: set[str] = set()
        for use in uses(workspace):
            try:
                connection = workspace.connections(use.connection)
            except LifeboatError as error:
                yield Unseen(kind=KIND, where=f"connection {use.connection}", why=str(error))
                continue
            where = str(connection.extra.get("endpoint_url") or AWS)
            service = services.setdefault(where, _Service())
            service.covered.setdefault(use.bucket, set()).add(use.by)
            if use.connection in asked:
                continue
            asked.add(use.connection)
            try:
                service.names |= set(buckets_of(connection))
            except LifeboatError as error:
                service.errors[use.connection] = str(error)
        for where, service in services.items():
            for name in sorted(service.names):
                yield Found(kind=KIND, where=where, name=name, covered_by=tuple(sorted(service.covered.get(name, ()))))
            for why in service.errors.values():
                yield Unseen(kind=KIND, where=where, why=why)


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
