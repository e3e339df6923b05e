"""What the lab's two Kubernetes clusters hold: AIDO TODO's chatbot with Dapr, and the services of AIaaS."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

from include.lab.kubernetes_kinds import DAPR, SEALED_SECRETS
from include.lab.kubernetes_store import Store
from include.lab.ports import LOOPBACK
from include.lab.source_connections import SourceSecrets
from include.lab.systems import REDIS_PORT
from include.lab.tls import write_private

Object = dict[str, Any]
_DONE = "filled"


def write_tokens(path: Path, secret: SourceSecrets) -> Path:
    """The file of tokens (mode 600): one that reads, one that may do everything."""
    rights: dict[str, list[dict[str, list[str]]]] = {
        secret.kubernetes_reader: [{"verbs": ["get", "list"]}],
        secret.kubernetes_writer: [{}],
    }
    write_private(path, json.dumps(rights).encode())
    return path


def fill(folder: Path, system: str) -> None:
    """Make a cluster's objects while its server is not running; nothing when they are there already.

    :param folder: where the server keeps them.
    """
    done = folder.parent / f"{folder.name}.{_DONE}"
    if done.exists():
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in folder.glob("*.json"):
        path.unlink()  # of a start that was interrupted
    store = Store(folder)
    {"aido-todo": _chatbot, "aiaas": _serving}[system](_Filler(store))
    done.touch()


class _Filler:
    """Makes objects as kubectl would."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, api_version: str, kind: str, name: str, namespace: str | None = None, **more: Any) -> Object:
        """Make an object."""
        group = api_version.rpartition("/")[0]
        found = next(each for each in self._store.kinds() if (each.group, each.kind) == (group, kind))
        body = {"apiVersion": api_version, "kind": kind, **more}
        body["metadata"] = {**more.get("metadata", {}), "name": name}
        return self._store.create(found, namespace, body)

    def service(self, namespace: str, name: str, image: str, replicas: int, **settings: str) -> None:
        """A deployment with its account, settings, service and autoscaler; and the replica set of the running one."""
        labels = {"app": name}
        self.put("v1", "ServiceAccount", name, namespace)
        self.put("v1", "ConfigMap", f"{name}-settings", namespace, data=settings or {"log": "info"})
        pod = {
            "serviceAccountName": name,
            "containers": [
                {"name": name, "image": image, "envFrom": [{"configMapRef": {"name": f"{name}-settings"}}]},
            ],
        }
        template = {"metadata": {"labels": labels}, "spec": pod}
        spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
        made = self.put("apps/v1", "Deployment", name, namespace, spec=spec)
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": made["metadata"]["uid"]}
        self.put(
            "apps/v1", "ReplicaSet", f"{name}-7d9f", namespace, spec={"replicas": replicas},
            metadata={"ownerReferences": [{**owner, "controller": True}]},
        )  # fmt: skip
        self.put("v1", "Service", name, namespace, spec={"selector": labels, "ports": [{"port": 80}]})
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
        scale = {"scaleTargetRef": target, "minReplicas": replicas, "maxReplicas": 4 * replicas}
        self.put("autoscaling/v2", "HorizontalPodAutoscaler", name, namespace, spec=scale)

    def release(self, namespace: str, name: str, version: int, values: Object) -> None:
        """A release as Helm keeps it."""
        content = {
            "name": name, "namespace": namespace, "version": version, "info": {"status": "deployed"},
            "chart": {"metadata": {"name": name, "version": "1.2.0"}, "values": {"replicas": 1}}, "config": values,
            "manifest": "---\nkind: Service\n",
        }  # fmt: skip
        packed = base64.b64encode(gzip.compress(json.dumps(content).encode(), mtime=0))
        data = {"release": base64.b64encode(packed).decode()}
        kept = f"sh.helm.release.v1.{name}.v{version}"
        self.put("v1", "Secret", kept, namespace, type="helm.sh/release.v1", data=data)

    def definitions(self, *definitions: Object) -> None:
        """CustomResourceDefinitions."""
        for each in definitions:
            name = each["metadata"]["name"]
            self.put("apiextensions.k8s.io/v1", "CustomResourceDefinition", name, spec=each["spec"])


def _chatbot(to: _Filler) -> None:
    to.definitions(*DAPR, SEALED_SECRETS)
    for name in ("todo", "dapr-system"):
        to.put("v1", "Namespace", name)
    to.service("todo", "todo-chatbot", "registry.example/todo-chatbot:2.4.1", 2, MODE="production", GREETING="hello")
    to.service("todo", "todo-frontend", "registry.example/todo-frontend:2.4.0", 2)
    to.service("dapr-system", "dapr-operator", "daprio/operator:1.14.4", 1)
    to.put("v1", "Secret", "database", "todo", data=_encoded({"password": "swordfish"}))
    sealed = {"encryptedData": {"password": base64.b64encode(b"sealed by the cluster's own key").decode()}}
    to.put("bitnami.com/v1alpha1", "SealedSecret", "mail", "todo", spec=sealed)
    to.release("todo", "todo-chatbot", 7, {"replicas": 2, "database": {"existingSecret": "database"}})
    state = [
        {"name": "redisHost", "value": f"{LOOPBACK}:{REDIS_PORT}"},
        {"name": "actorStateStore", "value": "true"},
    ]
    component = {"type": "state.redis", "version": "v1", "metadata": state}
    to.put("dapr.io/v1alpha1", "Component", "statestore", "todo", spec=component)
    component = {"type": "pubsub.redis", "version": "v1", "metadata": state[:1]}
    to.put("dapr.io/v1alpha1", "Component", "reminders", "todo", spec=component)
    to.put("dapr.io/v1alpha1", "Configuration", "tracing", "todo", spec={"tracing": {"samplingRate": "1"}})
    to.put("dapr.io/v2alpha1", "Subscription", "due", "todo", spec={"topic": "due", "pubsubname": "reminders"})
    to.put("networking.k8s.io/v1", "Ingress", "todo", "todo", spec={"rules": [{"host": "todo.example"}]})


def _serving(to: _Filler) -> None:
    for name in ("aiaas", "monitoring"):
        to.put("v1", "Namespace", name)
    for name, replicas in (("gateway", 3), ("serving", 4), ("billing", 2)):
        to.service("aiaas", name, f"registry.example/aiaas-{name}:1.5.0", replicas, REGION="us-east-1")
    to.service("monitoring", "prometheus", "prom/prometheus:v2.53.0", 1)
    to.put("v1", "Secret", "registry", "aiaas", data=_encoded({"token": "pull only"}))
    to.release("aiaas", "serving", 12, {"models": ["rylie-1", "rylie-2"], "gpu": True})
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "50Gi"}}}
    to.put("v1", "PersistentVolumeClaim", "models", "aiaas", spec=claim)
    to.put("policy/v1", "PodDisruptionBudget", "serving", "aiaas", spec={"minAvailable": 3})
    template = {"spec": {"containers": [{"name": "invoices", "image": "registry.example/aiaas-billing:1.5.0"}]}}
    job = {"schedule": "0 2 * * *", "jobTemplate": {"spec": {"template": template}}}
    to.put("batch/v1", "CronJob", "invoices", "aiaas", spec=job)
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]
    to.put("rbac.authorization.k8s.io/v1", "ClusterRole", "aiaas-viewer", rules=rules)


def _encoded(data: Object) -> dict[str, str]:
    return {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}
