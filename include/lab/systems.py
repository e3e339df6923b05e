"""The five protected systems of the lab, and the ports of everything in it."""

from __future__ import annotations

from dataclasses import dataclass

from include.lab.ceph import OSD_PORTS, CephPorts

AIRFLOW_PORT = 8080
AIRFLOW_DATABASE_PORT = 19100
AWS_PORT = 19200
SLACK_PORT = 19210
GIT_PORT = 19220
MONGODB_PORT = 19230
REDIS_PORT = 19240
VAULT_PORT = 19270
"""The next port is that of its raft."""
PROMETHEUS_PORT = 19280
DNS_PORT = 19253
DNS_ZONE = "lifeboat.test"


@dataclass(frozen=True)
class DemoSystem:
    """One system with its database server and its application.

    :param name: as in its policy; ``id`` is the same as a part of connection ids and role names.
    :param counted: the table that its health page counts.
    """

    name: str
    title: str
    database: str
    database_port: int
    web_port: int
    counted: str

    @property
    def id(self) -> str:
        """The name with underscores."""
        return self.name.replace("-", "_")

    @property
    def app_role(self) -> str:
        """The role that the application logs in as; it owns the tables."""
        return f"{self.id}_app"

    @property
    def backup_role(self) -> str:
        """The role that only reads."""
        return f"{self.id}_backup"

    @property
    def cluster_connection(self) -> str:
        """Id of the connection of its server's superuser, which pgBackRest works through."""
        return f"{self.id}_cluster"

    @property
    def restore_role(self) -> str:
        """The role that may create and replace databases."""
        return f"{self.id}_restore"


SYSTEMS = (
    DemoSystem("labdojo", "LabDojo Learning Platform", "labdojo", 19101, 19301, "user_progress"),
    DemoSystem("rylie-ai", "Rylie AI", "rylie_ai", 19102, 19302, "messages"),
    DemoSystem("aiaas", "AIaaS platform", "aiaas", 19103, 19303, "inference_requests"),
    DemoSystem("ksrce-lab", "KSRCE AI Lab Management Platform", "ksrce_lab", 19104, 19304, "experiments"),
    DemoSystem("aido-todo", "AIDO TODO", "aido_todo", 19105, 19305, "tasks"),
)


@dataclass(frozen=True)
class Region:
    """One object-store region of the lab.

    :param store: its name in the policies.
    :param locked_days: COMPLIANCE retention of every object of the store; None: only what asks for it.
    :param append_only: Lifeboat's credentials cannot delete a version in the store.
    """

    store: str
    name: str
    ports: CephPorts
    locked_days: int | None
    append_only: bool

    @property
    def bucket(self) -> str:
        """The bucket of its store."""
        return f"lifeboat-{self.store}"

    @property
    def repository(self) -> str:
        """The bucket of pgBackRest's repository, which is neither locked nor append-only: backups expire there."""
        return f"{self.bucket}-repo"


@dataclass(frozen=True)
class Bucket:
    """A versioned bucket that an application writes to.

    :param region: the store in whose region it is.
    :param connection: id of the connection that Lifeboat reaches it by.
    :param who: its user in the region, and that user's keys in ``RegionKeys``.
    """

    region: str
    name: str
    connection: str
    who: str


BUCKETS = (
    Bucket("primary", "ksrce-lab-uploads", "ksrce_lab_uploads", "uploads"),
    Bucket("offsite", "ksrce-lab-uploads-replica", "ksrce_lab_uploads_replica", "uploads"),
    Bucket("primary", "rylie-ai-uploads", "rylie_ai_uploads", "uploads"),
    Bucket("offsite", "rylie-ai-uploads-replica", "rylie_ai_uploads_replica", "uploads"),
    Bucket("primary", "aiaas-terraform", "aiaas_terraform", "terraform"),
)

REPOSITORIES = {
    "ksrce-lab": "ksrce_lab_git",
    "labdojo": "labdojo_git",
    "aiaas": "aiaas_git",
    "rylie-configuration": "rylie_ai_git",
}
"""Git repositories of the lab, each with the id of its connection."""

CLUSTERS = {"aiaas": 19261, "aido-todo": 19262}
"""Systems that run on Kubernetes, and the port of each one's API server."""

REGIONS = (
    Region("primary", "us-east-1", CephPorts(monitor=19010, gateway=19443, osd=19020), None, append_only=False),
    Region("offsite", "us-west-2", CephPorts(monitor=19011, gateway=19444, osd=19020 + OSD_PORTS), 1, append_only=True),
)


def system(name: str) -> DemoSystem:
    """A system by its name."""
    return next(system for system in SYSTEMS if system.name == name)
