"""The lab's Kubernetes API with an application in it, and a place to back it up to."""

from __future__ import annotations

import base64
import gzip
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from include.lab.kubernetes_api import ApiServer, Rights, Rule
from include.lab.kubernetes_kinds import DAPR, SEALED_SECRETS, Kind
from include.lab.kubernetes_rules import Key, Object, Refusal
from include.lab.kubernetes_store import Store
from include.recovery.content.inventory import measured
from include.recovery.kubernetes.document import kind_of
from tests.fixtures.content import ContentPlace

TOKEN = "reader-7f3a"
WRITER = "writer-19bc"
PASSWORD = "hunter2-of-the-database"
RELEASE = {
    "name": "todo-chatbot", "version": 3, "namespace": "todo", "info": {"status": "deployed"},
    "chart": {"metadata": {"name": "todo-chatbot", "version": "1.2.0"}, "values": {"replicas": 1}},
    "config": {"replicas": 2, "database": {"password": PASSWORD}}, "manifest": "---\nkind: Service\n",
}  # fmt: skip


@dataclass
class Cluster:
    """A running API server."""

    server: ApiServer

    @property
    def store(self) -> Store:
        return self.server.store

    def kind(self, found: Object) -> Kind:
        return next(kind for kind in self.store.kinds() if kind.name == kind_of(found))

    def put(self, api_version: str, kind: str, name: str, namespace: str | None = "todo", **more: Any) -> Object:
        """Make an object; ``metadata`` and ``status`` may be given."""
        found = {
            "apiVersion": api_version,
            "kind": kind,
            **more,
            "metadata": {**more.get("metadata", {}), "name": name},
        }
        found.pop("status", None)
        made = self.store.create(self.kind(found), namespace, found)
        if "status" in more:
            made = self.store.status(self.key(kind_of(found), name, namespace), more["status"])
        return made

    def key(self, kind: str, name: str, namespace: str | None = "todo") -> Key:
        return Key(kind, namespace or "", name)

    def get(self, kind: str, name: str, namespace: str | None = "todo") -> Object:
        return self.store.get(self.key(kind, name, namespace))

    def has(self, kind: str, name: str, namespace: str | None = "todo") -> bool:
        try:
            self.get(kind, name, namespace)
        except Refusal:
            return False
        return True

    def change(self, kind: str, name: str, change: Object, namespace: str | None = "todo") -> None:
        found = next(each for each in self.store.kinds() if each.name == kind)
        self.store.merge(found, self.key(kind, name, namespace), change, manager="somebody")

    def remove(self, kind: str, name: str, namespace: str | None = "todo") -> None:
        self.store.delete(self.key(kind, name, namespace))

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def start_cluster() -> Iterator[Callable[..., Cluster]]:
    """Starts an API server without any application."""
    ends = ExitStack()

    def start(establish_seconds: float = 0, tls: ssl.SSLContext | None = None) -> Cluster:
        reads = Rule(verbs=("get", "list"))
        rights = Rights({TOKEN: [reads], WRITER: [Rule()]})
        cluster = Cluster(ApiServer(0, Store(establish_seconds=establish_seconds), rights, tls))
        threading.Thread(target=cluster.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        ends.callback(cluster.stop)
        return cluster

    with ends:
        yield start


@pytest.fixture
def cluster(start_cluster: Callable[..., Cluster]) -> Cluster:
    """One with an application in it."""
    cluster = start_cluster()
    fill(cluster)
    return cluster


@dataclass
class KubernetesPlace(ContentPlace):
    """Backs a cluster up."""

    def turn_to(self, cluster: Cluster, token: str = TOKEN, ca: Path | None = None) -> None:
        """From now on the connections lead to this cluster."""
        extra = {"ca_file": str(ca)} if ca else {}
        connections = {
            "cluster": {"host": cluster.server.url, "password": token, "extra": extra},
            "cluster_restore": {"host": cluster.server.url, "password": WRITER, "extra": extra},
            "redis": {"host": "redis.todo.svc", "port": 6379},
        }
        (self.directory / "connections.json").write_text(json.dumps(connections))

    @property
    def aside(self) -> list[Path]:
        """Folders of what was kept aside."""
        return sorted((self.directory / "aside").glob("*"))

    def live(self) -> str:
        """The digest of all that the cluster holds."""
        return measured(self.impl.live_items(self.site)).sha512


@pytest.fixture
def place(
    content_place: Callable[..., ContentPlace], tmp_path: Path, cluster: Cluster
) -> Callable[..., KubernetesPlace]:
    """Makes the place; options go into the policy."""

    def make(**options: Any) -> KubernetesPlace:
        given = {
            "name": "resources", "kind": "kubernetes", "connection": "cluster", "restore_connection": "cluster_restore",
            "namespaces": ["todo", "dapr-system"], "aside": str(tmp_path / "aside"), **options,
        }  # fmt: skip
        made = content_place(given)
        found = KubernetesPlace(made.workspace, made.directory, made.kind, made.ends)
        found.turn_to(cluster)
        return found

    return make


def encoded(**data: str) -> dict[str, str]:
    return {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}


def owner(found: Object) -> Object:
    reference = {"apiVersion": found["apiVersion"], "kind": found["kind"], "name": found["metadata"]["name"]}
    return {"ownerReferences": [{**reference, "uid": found["metadata"]["uid"], "controller": True}]}


def release_data(content: object) -> dict[str, str]:
    return encoded(release=base64.b64encode(gzip.compress(json.dumps(content).encode())).decode())


def fill(cluster: Cluster) -> None:
    """The application that seed 003 tells of: a chatbot on Kubernetes with Dapr, a database, sealed secrets, Helm."""
    put = cluster.put
    for definition in (*DAPR, SEALED_SECRETS):
        put(
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            definition["metadata"]["name"],
            None,
            spec=definition["spec"],
        )
    for name in ("todo", "dapr-system", "elsewhere"):
        put("v1", "Namespace", name, None)
    put("v1", "Secret", "not-ours", "elsewhere", data=encoded(a="b"))
    put("v1", "ServiceAccount", "chatbot", imagePullSecrets=[{"name": "registry"}])
    put("v1", "Secret", "registry", data=encoded(token="pull"))
    put("v1", "Secret", "database", data=encoded(password=PASSWORD))
    put(
        "v1",
        "Secret",
        "chatbot-token",
        type="kubernetes.io/service-account-token",
        metadata={"annotations": {"kubernetes.io/service-account.name": "chatbot"}},
    )
    put("v1", "Secret", "sh.helm.release.v1.todo-chatbot.v3", type="helm.sh/release.v1", data=release_data(RELEASE))
    sealed = put("bitnami.com/v1alpha1", "SealedSecret", "mail", spec={"encryptedData": {"password": "AgBy8hCi8erSS"}})
    put("v1", "Secret", "mail", data=encoded(password="unsealed"), metadata=owner(sealed))
    put(
        "v1",
        "ConfigMap",
        "settings",
        data={"mode": "yes", "version": "1e3", "greeting": "hello\nworld\n", "empty": "", "n": "y", "octal": "0o17"},
    )
    put(
        "v1",
        "PersistentVolumeClaim",
        "data",
        spec={"accessModes": ["ReadWriteOnce"], "volumeName": "pvc-1"},
        metadata={"annotations": {"pv.kubernetes.io/bound-by-controller": "yes"}},
        status={"phase": "Bound"},
    )
    web = put("v1", "Service", "web", spec={"selector": {"app": "web"}, "ports": [{"port": 80, "nodePort": 30080}]})
    put("v1", "Endpoints", "web", subsets=[{"addresses": [{"ip": "10.1.0.7"}]}])
    put("v1", "Endpoints", "legacy", subsets=[{"addresses": [{"ip": "192.0.2.7"}]}])
    put("discovery.k8s.io/v1", "EndpointSlice", "web-x1", metadata=owner(web), addressType="IPv4")
    pod = {
        "serviceAccountName": "chatbot",
        "containers": [
            {
                "name": "web",
                "image": "todo:1",
                "envFrom": [{"configMapRef": {"name": "settings"}}],
                "env": [
                    {"name": "DB", "valueFrom": {"secretKeyRef": {"name": "database", "key": "password"}}},
                    {"name": "MAIL", "valueFrom": {"secretKeyRef": {"name": "mail", "key": "password"}}},
                ],
            }
        ],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
    }
    labels = {"app": "web"}
    deployment = put(
        "apps/v1",
        "Deployment",
        "web",
        status={"readyReplicas": 2},
        spec={
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels, "creationTimestamp": None}, "spec": pod},
        },
    )
    replicas = put("apps/v1", "ReplicaSet", "web-5d4f", metadata=owner(deployment), spec={"replicas": 2})
    put(
        "v1",
        "Pod",
        "web-5d4f-abcde",
        metadata=owner(replicas),
        spec={"containers": [{"name": "web"}], "nodeName": "n1"},
    )
    put(
        "batch/v1",
        "Job",
        "migrate",
        spec={"template": {"spec": {"containers": [{"name": "m"}]}}},
        status={"conditions": [{"type": "Complete", "status": "True"}]},
    )
    put("autoscaling/v2", "HorizontalPodAutoscaler", "web", spec={"maxReplicas": 5}, status={"currentReplicas": 2})
    put("networking.k8s.io/v1", "Ingress", "web", spec={"rules": [{"host": "todo.example"}]})
    put(
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        "chatbot",
        subjects=[{"kind": "ServiceAccount", "name": "chatbot"}],
    )
    put("rbac.authorization.k8s.io/v1", "Role", "Rolle: Größe \N{SNOWMAN}\nzweite Zeile", rules=[])
    put("rbac.authorization.k8s.io/v1", "ClusterRole", "system:chatbot:reader", None, rules=[{"verbs": ["get"]}])
    put(
        "rbac.authorization.k8s.io/v1",
        "ClusterRole",
        "admin",
        None,
        metadata={"labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
    )
    put(
        "dapr.io/v1alpha1",
        "Component",
        "statestore",
        spec={
            "type": "state.redis",
            "version": "v1",
            "metadata": [
                {"name": "redisHost", "value": "redis.todo.svc:6379"},
                {"name": "actorStateStore", "value": "true"},
            ],
        },
    )
    put("dapr.io/v1alpha1", "Configuration", "tracing", spec={"tracing": {"samplingRate": "1"}})
    put("dapr.io/v2alpha1", "Subscription", "orders", spec={"topic": "orders", "pubsubname": "pubsub"})
    put("coordination.k8s.io/v1", "Lease", "leader", spec={"holderIdentity": "a"})
    put("v1", "Event", "web.17", reason="Pulled")
    put("v1", "Node", "n1", None)
