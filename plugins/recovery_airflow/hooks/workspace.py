"""The workspace of a task: this project's policies, and Airflow's connections."""

from __future__ import annotations

from functools import cached_property

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from include.recovery.connections import ConnectionInfo
from include.recovery.errors import LifeboatError
from include.recovery.policy.files import load_folder, policies_folder
from include.recovery.workspace import Workspace


class WorkspaceHook(BaseHook):
    """Opens servers, stores and keys by the connection ids of the policies.

    Passwords come from Airflow's connections or its secrets backend when they are needed; Airflow masks them in logs.
    """

    hook_name = "Lifeboat workspace"

    def get_conn(self) -> Workspace:
        """The workspace; one for each hook."""
        return self.workspace

    @cached_property
    def workspace(self) -> Workspace:
        """The policies as they are on this worker now, and Airflow's connections."""
        return Workspace(policies=load_folder(policies_folder()), connections=self.connection)

    def connection(self, connection_id: str) -> ConnectionInfo:
        """One of Airflow's connections in the shape that all rings share.

        :raises LifeboatError: when Airflow does not know it, telling where to add it.
        """
        try:
            found = self.get_connection(connection_id)
        except AirflowNotFoundException:
            raise LifeboatError(
                f"connection {connection_id!r} is not defined in Airflow; add it under Admin, Connections, "
                "or in the secrets backend that this deployment uses"
            ) from None
        return ConnectionInfo(
            id=connection_id,
            host=found.host or "",
            port=found.port,
            login=found.login or "",
            password=found.password or "",
            schema=found.schema or "",
            extra=found.extra_dejson,
        )
