"""What objects need, and what they provide."""

from __future__ import annotations

from typing import Any

import pytest

from include.recovery.kubernetes.references import needs, provides

POD = {
    "serviceAccountName": "runner",
    "imagePullSecrets": [{"name": "pull"}],
    "volumes": [
        {"name": "a", "secret": {"secretName": "mounted"}},
        {"name": "b", "configMap": {"name": "settings", "optional": True}},
        {"name": "c", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "d", "projected": {"sources": [{"secret": {"name": "projected"}}, {"configMap": {"name": "shared"}}]}},
        {"name": "e", "emptyDir": {}},
    ],
    "initContainers": [
        {"name": "i", "env": [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "key", "key": "k"}}}]}
    ],
    "containers": [
        {
            "name": "m",
            "env": [
                {"name": "A", "value": "1"},
                {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "one", "key": "k"}}},
            ],
            "envFrom": [{"secretRef": {"name": "all", "optional": True}}],
        }
    ],
}
NEEDED = {
    "ServiceAccount/runner": False,
    "Secret/pull": False,
    "Secret/mounted": False,
    "ConfigMap/settings": True,
    "PersistentVolumeClaim/data": False,
    "Secret/projected": False,
    "ConfigMap/shared": False,
    "Secret/key": False,
    "ConfigMap/one": False,
    "Secret/all": True,
}


def thing(api_version: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x", "namespace": "todo"}, **more}


def found(object_: dict[str, Any]) -> dict[str, bool]:
    return {need.name.removeprefix("namespaces/todo/core/"): need.optional for need in needs(object_)}


@pytest.mark.parametrize(
    "workload",
    [
        thing("v1", "Pod", spec=POD),
        thing("apps/v1", "Deployment", spec={"template": {"spec": POD}}),
        thing("batch/v1", "CronJob", spec={"jobTemplate": {"spec": {"template": {"spec": POD}}}}),
        thing("argoproj.io/v1", "Rollout", spec={"template": {"spec": POD}}),
    ],
    ids=lambda each: each["kind"],
)
def test_a_workload(workload: dict[str, Any]) -> None:
    assert found(workload) == NEEDED


@pytest.mark.parametrize(
    ("each", "needed"),
    [
        (
            thing("v1", "ServiceAccount", secrets=[{"name": "t"}], imagePullSecrets=[{"name": "p"}]),
            {"Secret/t", "Secret/p"},
        ),
        (thing("networking.k8s.io/v1", "Ingress", spec={"tls": [{"secretName": "cert"}, {}]}), {"Secret/cert"}),
        (
            thing(
                "dapr.io/v1alpha1",
                "Component",
                spec={"metadata": [{"name": "p", "secretKeyRef": {"name": "redis", "key": "k"}}]},
            ),
            {"Secret/redis"},
        ),
        (
            thing(
                "dapr.io/v1alpha1",
                "Component",
                auth={"secretStore": "vault"},
                spec={"metadata": [{"secretKeyRef": {"name": "redis"}}]},
            ),
            set(),
        ),
        (thing("v1", "ConfigMap", data={"a": "b"}), set()),
        (thing("v1", "Pod", spec={"containers": [{"name": "a"}], "serviceAccountName": "default"}), set()),
    ],
)
def test_others(each: dict[str, Any], needed: set[str]) -> None:
    assert set(found(each)) == needed


@pytest.mark.parametrize(
    ("each", "name"),
    [
        (thing("bitnami.com/v1alpha1", "SealedSecret", spec={}), "x"),
        (thing("bitnami.com/v1alpha1", "SealedSecret", spec={"template": {"metadata": {"name": "y"}}}), "y"),
        (thing("cert-manager.io/v1", "Certificate", spec={"secretName": "cert"}), "cert"),
    ],
)
def test_what_controllers_make_of_it(each: dict[str, Any], name: str) -> None:
    assert list(provides(each)) == [f"namespaces/todo/core/Secret/{name}"]
