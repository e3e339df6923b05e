"""Every row of both tables: which objects are not kept, and their like that are."""

from __future__ import annotations

from typing import Any

import pytest

from include.recovery.kubernetes.made_anew import KINDS, OBJECTS, Known, made_kind, made_object

Object = dict[str, Any]
KNOWN = Known(
    kept_kinds=frozenset({"apps/Deployment", "bitnami.com/SealedSecret", "db.example/Cluster"}),
    excluded=lambda kind, name: name == "left",
    selecting=frozenset({"todo/web"}),
)


def thing(api_version: str, kind: str, name: str = "x", metadata: Object | None = None, **more: Any) -> Object:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": "todo", **(metadata or {})},
        **more,
    }


def owned(
    api_version: str, kind: str, owner: str, owner_kind: str, name: str = "o", *, controller: bool = True
) -> Object:
    reference = {"apiVersion": owner, "kind": owner_kind, "name": name, "uid": "u", "controller": controller}
    return thing(api_version, kind, metadata={"ownerReferences": [reference]})


def labelled(api_version: str, kind: str, key: str, value: str, name: str = "x") -> Object:
    return thing(api_version, kind, name, {"labels": {key: value}, "annotations": {key: value}})


def finished(kind: str) -> Object:
    return thing("batch/v1", "Job", status={"conditions": [{"type": kind, "status": "True"}]})


RBAC = "rbac.authorization.k8s.io/v1"
ROWS: dict[str, tuple[list[Object], list[Object]]] = {
    "being deleted": (
        [thing("v1", "ConfigMap", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})],
        [thing("v1", "ConfigMap")],
    ),
    "made by its owner": (
        [owned("apps/v1", "ReplicaSet", "apps/v1", "Deployment"), owned("v1", "Pod", "v1", "Node")],
        [
            owned("apps/v1", "ReplicaSet", "apps/v1", "Deployment", controller=False),
            owned("apps/v1", "ReplicaSet", "apps/v1", "Deployment", "left"),
            owned("v1", "Pod", "other.example/v1", "Unknown"),
            owned("v1", "Secret", "db.example/v1", "Cluster"),
            owned("v1", "PersistentVolumeClaim", "db.example/v1", "Cluster"),
        ],
    ),
    "unsealed": (
        [owned("v1", "Secret", "bitnami.com/v1alpha1", "SealedSecret")],
        [owned("v1", "Secret", "bitnami.com/v1alpha1", "SealedSecret", "left"), thing("v1", "Secret")],
    ),
    "of the API server": (
        [thing("v1", "Service", "kubernetes", {"namespace": "default"})],
        [thing("v1", "Service", "kubernetes")],
    ),
    "addresses of a Service": (
        [
            thing("v1", "Endpoints", "web"),
            labelled("v1", "Endpoints", "endpoints.kubernetes.io/managed-by", "endpoint-controller"),
            labelled(
                "discovery.k8s.io/v1",
                "EndpointSlice",
                "endpointslice.kubernetes.io/managed-by",
                "endpointslice-controller.k8s.io",
            ),
        ],
        [thing("v1", "Endpoints", "made-by-hand"), thing("discovery.k8s.io/v1", "EndpointSlice", "made-by-hand")],
    ),
    "published": ([thing("v1", "ConfigMap", "kube-root-ca.crt")], [thing("v1", "ConfigMap", "settings")]),
    "default roles": (
        [labelled(RBAC, "ClusterRole", "kubernetes.io/bootstrapping", "rbac-defaults")],
        [thing(RBAC, "ClusterRole", "mine")],
    ),
    "built-in API": (
        [labelled("apiregistration.k8s.io/v1", "APIService", "kube-aggregator.kubernetes.io/automanaged", "onstart")],
        [thing("apiregistration.k8s.io/v1", "APIService")],
    ),
    "default flow control": (
        [labelled("flowcontrol.apiserver.k8s.io/v1", "FlowSchema", "apf.kubernetes.io/autoupdate-spec", "true")],
        [labelled("flowcontrol.apiserver.k8s.io/v1", "FlowSchema", "apf.kubernetes.io/autoupdate-spec", "false")],
    ),
    "system priorities": (
        [thing("scheduling.k8s.io/v1", "PriorityClass", "system-node-critical")],
        [thing("scheduling.k8s.io/v1", "PriorityClass", "mine")],
    ),
    "provisioned volume": (
        [
            {
                **labelled("v1", "PersistentVolume", "pv.kubernetes.io/provisioned-by", "ebs"),
                "spec": {"persistentVolumeReclaimPolicy": "Delete"},
            }
        ],
        [
            {
                **labelled("v1", "PersistentVolume", "pv.kubernetes.io/provisioned-by", "ebs"),
                "spec": {"persistentVolumeReclaimPolicy": "Retain"},
            }
        ],
    ),
    "finished job": ([finished("Complete"), finished("Failed")], [finished("Suspended"), thing("batch/v1", "Job")]),
    "finished Pod": (
        [thing("v1", "Pod", status={"phase": "Succeeded"})],
        [thing("v1", "Pod", status={"phase": "Running"}), thing("v1", "Pod")],
    ),
}


def test_every_row_has_an_example_and_a_reason() -> None:
    assert set(ROWS) == {row.name for row in OBJECTS}
    assert all(row.why for row in [*OBJECTS, *KINDS])


@pytest.mark.demand("D4")
@pytest.mark.parametrize("name", ROWS)
def test_a_row(name: str) -> None:
    made, kept = ROWS[name]
    assert [found and found.name for found in (made_object(each, KNOWN) for each in made)] == [name] * len(made)
    assert [made_object(each, KNOWN) for each in kept] == [None] * len(kept)


@pytest.mark.parametrize("row", KINDS, ids=lambda row: row.kind)
def test_a_kind_that_is_never_listed(row: Any) -> None:
    assert made_kind(row.kind.replace("*", "Anything")) == row


@pytest.mark.parametrize("kind", ["core/Secret", "core/Pod", "apps/Deployment", "dapr.io/Component", "core/Namespace"])
def test_other_kinds_are(kind: str) -> None:
    assert made_kind(kind) is None
