"""What comes before what, and what is missing around a set of objects."""

from __future__ import annotations

from typing import Any

import pytest

from include.recovery.kubernetes.order import Surroundings, in_order, step_of

IN_ORDER = [
    "apiextensions.k8s.io/CustomResourceDefinition",
    "core/Namespace",
    "core/ServiceAccount",
    "rbac.authorization.k8s.io/ClusterRole",
    "rbac.authorization.k8s.io/RoleBinding",
    "storage.k8s.io/StorageClass",
    "core/Secret",
    "core/PersistentVolume",
    "core/PersistentVolumeClaim",
    "core/Service",
    "dapr.io/Component",
    "apps/Deployment",
    "networking.k8s.io/Ingress",
    "example.com/Anything",
    "admissionregistration.k8s.io/ValidatingWebhookConfiguration",
]


def thing(api_version: str, kind: str, name: str = "x", namespace: str | None = None, **more: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, **more}


@pytest.mark.demand("A5")
def test_the_order() -> None:
    assert [step_of(kind) for kind in IN_ORDER] == sorted({step_of(kind) for kind in IN_ORDER})
    assert step_of("core/ConfigMap") == step_of("core/Secret") == step_of("bitnami.com/SealedSecret")
    assert step_of("batch/CronJob") == step_of("core/Pod") == step_of("apps/StatefulSet")
    assert step_of("autoscaling/HorizontalPodAutoscaler") == step_of("networking.k8s.io/Ingress")
    assert step_of("apiregistration.k8s.io/APIService") == step_of("admissionregistration.k8s.io/Any")


def test_names_are_ordered_by_step_and_then_by_name() -> None:
    assert in_order([("b", "apps/Deployment"), ("a", "apps/Deployment"), ("c", "core/Secret")]) == ["c", "a", "b"]


def crd(group: str, kind: str) -> dict[str, Any]:
    return thing("apiextensions.k8s.io/v1", "CustomResourceDefinition", spec={"group": group, "names": {"kind": kind}})


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        ([thing("v1", "Namespace", "todo"), thing("apps/v1", "Deployment", namespace="todo")], []),
        (
            [thing("apps/v1", "Deployment", namespace="todo")],
            ["namespaces/todo/apps/Deployment/x needs namespace todo"],
        ),
        (
            [thing("dapr.io/v1", "Component")],
            ["cluster/dapr.io/Component/x needs the CustomResourceDefinition of dapr.io/Component"],
        ),
        ([thing("dapr.io/v1", "Component"), crd("dapr.io", "Component")], []),
        (
            [thing("dapr.io/v1", "Component"), crd("dapr.io", "Other")],
            ["cluster/dapr.io/Component/x needs the CustomResourceDefinition of dapr.io/Component"],
        ),
        (
            [
                thing("m.example/v1", "Metric"),
                thing("apiregistration.k8s.io/v1", "APIService", spec={"group": "m.example"}),
            ],
            [],
        ),
        (
            [thing("gateway.networking.k8s.io/v1", "Gateway")],
            [
                "cluster/gateway.networking.k8s.io/Gateway/x needs the CustomResourceDefinition of "
                "gateway.networking.k8s.io/Gateway"
            ],
        ),
    ],
)
def test_what_is_missing_around_objects(there: list[dict[str, Any]], missing: list[str]) -> None:
    around = Surroundings()
    for each in there:
        around.add(each)
    assert [clause for _, clause in around.missing()] == missing
