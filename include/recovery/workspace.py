"""Where policies, connections and stores meet: what every operator, DAG task and command starts from."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Literal

from include.recovery.catalog.catalog import Catalog
from include.recovery.connections import ConnectionSource, connections_from_environment
from include.recovery.errors import PolicyError
from include.recovery.keys.envelope import Keyring
from include.recovery.keys.escrow import EscrowWrapper
from include.recovery.keys.kms import KmsWrapper
from include.recovery.policy.files import PolicySet, load_folder, policies_folder
from include.recovery.policy.models import PostgresSource, ProtectedSystem, StoreDefinition
from include.recovery.postgres.server import PostgresServer
from include.recovery.runbook.approval import Signer
from include.recovery.stores.folder import FolderStore
from include.recovery.stores.port import ObjectStore
from include.recovery.stores.s3 import S3Store

PRIMARY = "primary"


@dataclass
class Workspace:
    """The policies, and the ways to everything that they name. Nothing is connected before it is asked for.

    :param policies: all systems and the platform they share.
    :param connections: finds servers, stores and keys by connection id.
    """

    policies: PolicySet
    connections: ConnectionSource
    _stores: dict[str, ObjectStore] = field(default_factory=dict, init=False, repr=False)
    _keyring: Keyring | None = field(default=None, init=False, repr=False)

    @classmethod
    def from_environment(cls) -> Workspace:
        """For use without Airflow: policies from ``LIFEBOAT_POLICIES``, connections from the environment."""
        return cls(load_folder(policies_folder()), connections_from_environment(os.environ))

    def system(self, name: str) -> ProtectedSystem:
        """A system's policy.

        :raises PolicyError: when there is none, naming those there are, or when it is invalid, with its problems.
        """
        return self.policies.system(name)

    def store(self, name: str) -> ObjectStore:
        """A store of the platform, by its name in the policy.

        :raises PolicyError: when the platform defines no such store.
        """
        if name not in self._stores:
            self._stores[name] = self._open_store(name, self.definition(name))
        return self._stores[name]

    def deleter(self, name: str) -> ObjectStore:
        """A store with the credentials that may delete versions in it; its own, where the policy names no others.

        :raises PolicyError: when the platform defines no such store.
        """
        definition = self.definition(name)
        if definition.kind == "folder" or definition.expiry_connection is None:
            return self.store(name)
        key = f"{name} (expiry)"
        if key not in self._stores:
            connection = self.connections(definition.expiry_connection)
            self._stores[key] = S3Store.from_connection(name, definition.bucket, connection)
        return self._stores[key]

    def catalog(self, store: str = PRIMARY) -> Catalog:
        """The catalog that lives in a store, beside its backups."""
        return Catalog(self.store(store))

    def keyring(self) -> Keyring:
        """The platform's KMS key and, where the policy has one, the escrow public key."""
        if self._keyring is None:
            encryption = self.policies.platform.encryption
            kms = KmsWrapper.from_connection(self.connections(encryption.kms_connection), encryption.kms_key)
            escrow = encryption.escrow_public_key_pem(self.policies.folder)
            self._keyring = Keyring([kms] if escrow is None else [kms, EscrowWrapper(public_key_pem=escrow)])
        return self._keyring

    def server(self, source: PostgresSource, role: Literal["backup", "restore"] = "backup") -> PostgresServer:
        """A source's database, logged in as the role that reads, or as the one that writes."""
        connection = source.connections.backup if role == "backup" else source.connections.restore
        return PostgresServer.from_connection(self.connections(connection), database=source.database)

    def cluster(self, source: PostgresSource, *, standby: bool = False) -> PostgresServer:
        """The server of a source's whole cluster, logged in as its superuser.

        :param standby: the hot standby instead.
        :raises PolicyError: when the policy names no such connection.
        """
        physical = source.physical
        connection = physical and (physical.standby if standby else physical.connection)
        if not connection:
            what = "standby" if standby else "connection"
            raise PolicyError([f"source {source.name!r} names no 'physical.{what}', so its cluster cannot be reached"])
        return PostgresServer.from_connection(self.connections(connection))

    def signer(self) -> Signer:
        """The key that signs approvals and evidence."""
        connection = self.connections(self.policies.platform.approvals.signing_connection)
        return Signer.from_pem(connection.password)

    def definition(self, name: str) -> StoreDefinition:
        """What the platform says of a store.

        :raises PolicyError: when it defines no such store.
        """
        stores = self.policies.platform.stores
        if name not in stores:
            raise PolicyError([f"platform.yaml: store {name!r} is not defined; known are {', '.join(sorted(stores))}"])
        return stores[name]

    def _open_store(self, name: str, definition: StoreDefinition) -> ObjectStore:
        if definition.kind == "folder":
            return FolderStore(name, definition.path)
        return S3Store.from_connection(name, definition.bucket, self.connections(definition.connection))
