"""The kinds that the lab's Kubernetes API knows by itself."""

from __future__ import annotations

from dataclasses import dataclass

ALL = ("create", "delete", "get", "list", "patch", "update", "watch")
READ = ("get", "list")


@dataclass(frozen=True)
class Kind:
    """A kind.

    :param group: empty for the nameless one.
    :param versions: the preferred one first.
    :param custom: whether a CustomResourceDefinition defines it.
    """

    group: str
    versions: tuple[str, ...]
    kind: str
    plural: str
    namespaced: bool = True
    verbs: tuple[str, ...] = ALL
    custom: bool = False

    @property
    def name(self) -> str:
        """``<group>/<Kind>``, as policies say it."""
        return f"{self.group or 'core'}/{self.kind}"

    def resource(self) -> dict[str, object]:
        """Its entry in the answers of discovery."""
        return {
            "name": self.plural, "singularName": self.kind.lower(), "namespaced": self.namespaced, "kind": self.kind,
            "verbs": list(self.verbs),
        }  # fmt: skip


def _many(group: str, version: str, *kinds: str, namespaced: bool = True) -> list[Kind]:
    return [Kind(group, (version,), kind, _plural(kind), namespaced) for kind in kinds]


def _plural(kind: str) -> str:
    low = kind.lower()
    if low.endswith("endpoints"):
        return low
    if low.endswith(("s", "x")):
        return low + "es"
    return low[:-1] + "ies" if low.endswith("y") else low + "s"


BUILT_IN: tuple[Kind, ...] = (
    *_many(
        "", "v1", "ConfigMap", "Secret", "Service", "Endpoints", "Pod", "PersistentVolumeClaim", "ServiceAccount",
        "Event", "ReplicationController", "ResourceQuota", "LimitRange", "PodTemplate",
    ),
    *_many("", "v1", "Namespace", "Node", "PersistentVolume", namespaced=False),
    Kind("", ("v1",), "ComponentStatus", "componentstatuses", False, READ),
    Kind("", ("v1",), "Binding", "bindings", True, ("create",)),
    *_many("apps", "v1", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "ControllerRevision"),
    *_many("batch", "v1", "Job", "CronJob"),
    Kind("autoscaling", ("v2", "v1"), "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    *_many("networking.k8s.io", "v1", "Ingress", "NetworkPolicy"),
    *_many("networking.k8s.io", "v1", "IngressClass", namespaced=False),
    *_many("rbac.authorization.k8s.io", "v1", "Role", "RoleBinding"),
    *_many("rbac.authorization.k8s.io", "v1", "ClusterRole", "ClusterRoleBinding", namespaced=False),
    *_many("storage.k8s.io", "v1", "StorageClass", "VolumeAttachment", namespaced=False),
    *_many("scheduling.k8s.io", "v1", "PriorityClass", namespaced=False),
    *_many("policy", "v1", "PodDisruptionBudget"),
    *_many("coordination.k8s.io", "v1", "Lease"),
    *_many("discovery.k8s.io", "v1", "EndpointSlice"),
    *_many("apiextensions.k8s.io", "v1", "CustomResourceDefinition", namespaced=False),
    *_many("apiregistration.k8s.io", "v1", "APIService", namespaced=False),
    *_many("admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration", namespaced=False),
    Kind("metrics.k8s.io", ("v1beta1",), "PodMetrics", "pods", True, READ),
    Kind("authorization.k8s.io", ("v1",), "SelfSubjectAccessReview", "selfsubjectaccessreviews", False, ("create",)),
)  # fmt: skip
"""What the lab has of a cluster's own kinds."""


def definition(group: str, kind: str, *versions: str, plural: str = "", namespaced: bool = True) -> dict[str, object]:
    """A CustomResourceDefinition without a schema: everything is kept as it is given."""
    plural = plural or _plural(kind)
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced" if namespaced else "Cluster",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": [
                {"name": version, "served": True, "storage": number == 0, "schema": schema}
                for number, version in enumerate(versions)
            ],
        },
    }


DAPR = (
    definition("dapr.io", "Component", "v1alpha1"),
    definition("dapr.io", "Configuration", "v1alpha1"),
    definition("dapr.io", "Subscription", "v2alpha1", "v1alpha1"),
)
"""What Dapr defines."""
SEALED_SECRETS = definition("bitnami.com", "SealedSecret", "v1alpha1")
"""What Bitnami's sealed-secrets defines."""
