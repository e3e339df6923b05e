"""Every row of the table: what it takes out, and what it leaves."""

from __future__ import annotations

from typing import Any

import pytest

from include.recovery.kubernetes.cleaning import FIELDS, cleaned

Object = dict[str, Any]
TOKEN = "kubernetes.io/service-account-token"


def thing(api_version: str = "v1", kind: str = "ConfigMap", metadata: Object | None = None, **more: Any) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x", **(metadata or {})}, **more}


def annotated(api_version: str, kind: str, *keys: str) -> Object:
    return thing(api_version, kind, {"annotations": dict.fromkeys(keys, "1")})


def pod(**spec: Any) -> Object:
    return thing("v1", "Pod", spec={"containers": [{"name": "a"}], **spec})


def claim(bound: str | None, **spec: Any) -> Object:
    marks = {"pv.kubernetes.io/bind-completed": "yes", "volume.kubernetes.io/storage-provisioner": "ebs"}
    if bound:
        marks["pv.kubernetes.io/bound-by-controller"] = bound
    return thing("v1", "PersistentVolumeClaim", {"annotations": marks}, spec=spec)


def job(**spec: Any) -> Object:
    labels = {"controller-uid": "u", "batch.kubernetes.io/job-name": "x", "team": "a"}
    return thing(
        "batch/v1",
        "Job",
        spec={
            "selector": {"matchLabels": {"controller-uid": "u"}},
            "template": {"metadata": {"labels": labels}},
            **spec,
        },
    )


MOUNTED = {
    "volumes": [{"name": "kube-api-access-x1"}, {"name": "own"}],
    "containers": [
        {"name": "a", "volumeMounts": [{"name": "kube-api-access-x1"}, {"name": "own"}]},
        {"name": "b", "volumeMounts": [{"name": "kube-api-access-x1"}]},
    ],
}

ROWS: dict[str, list[tuple[Object, Object]]] = {
    "status": [(thing(status={"ready": True}), thing())],
    "uid": [(thing(metadata={"uid": "u"}), thing())],
    "resourceVersion": [(thing(metadata={"resourceVersion": "7"}), thing())],
    "generation": [(thing(metadata={"generation": 7}), thing())],
    "creationTimestamp": [(thing(metadata={"creationTimestamp": "2026-01-01T00:00:00Z"}), thing())],
    "empty creationTimestamp": [
        (
            thing(
                "apps/v1",
                "Deployment",
                spec={"template": {"metadata": {"creationTimestamp": None, "labels": {"a": "b"}}}},
            ),
            thing("apps/v1", "Deployment", spec={"template": {"metadata": {"labels": {"a": "b"}}}}),
        )
    ],
    "managedFields": [(thing(metadata={"managedFields": [{}]}), thing())],
    "selfLink": [(thing(metadata={"selfLink": "/api"}), thing())],
    "ownerReferences": [(thing(metadata={"ownerReferences": [{"uid": "u"}]}), thing())],
    "grace of deletion": [(thing(metadata={"deletionGracePeriodSeconds": 30}), thing())],
    "the cluster's finalizers": [
        (thing(metadata={"finalizers": ["kubernetes.io/pvc-protection"]}), thing()),
        (
            thing(metadata={"finalizers": ["mine.example/stop", "orphan"]}),
            thing(metadata={"finalizers": ["mine.example/stop"]}),
        ),
        (thing("v1", "Namespace", spec={"finalizers": ["kubernetes"]}), thing("v1", "Namespace", spec={})),
        (
            thing("a.b/v1", "C", spec={"finalizers": ["kubernetes"]}),
            thing("a.b/v1", "C", spec={"finalizers": ["kubernetes"]}),
        ),
    ],
    "last-applied-configuration": [
        (annotated("v1", "Secret", "kubectl.kubernetes.io/last-applied-configuration"), thing("v1", "Secret"))
    ],
    "leader election": [(annotated("v1", "ConfigMap", "control-plane.alpha.kubernetes.io/leader"), thing())],
    "revision": [
        (annotated("apps/v1", "Deployment", "deployment.kubernetes.io/revision"), thing("apps/v1", "Deployment"))
    ],
    "template generation": [
        (annotated("apps/v1", "DaemonSet", "deprecated.daemonset.template.generation"), thing("apps/v1", "DaemonSet"))
    ],
    "metrics of the autoscaler": [
        (
            annotated("autoscaling/v1", "HorizontalPodAutoscaler", "autoscaling.alpha.kubernetes.io/conditions"),
            thing("autoscaling/v1", "HorizontalPodAutoscaler"),
        )
    ],
    "service addresses": [
        (
            thing("v1", "Service", spec={"clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"], "ports": []}),
            thing("v1", "Service", spec={"ports": []}),
        ),
        (
            thing("v1", "Service", spec={"clusterIP": "None", "clusterIPs": ["None"]}),
            thing("v1", "Service", spec={"clusterIP": "None", "clusterIPs": ["None"]}),
        ),
    ],
    "claim's marks": [
        (
            claim("yes", volumeName="pv-1", storageClassName="fast"),
            thing("v1", "PersistentVolumeClaim", spec={"storageClassName": "fast"}),
        ),
        (claim(None, volumeName="chosen"), thing("v1", "PersistentVolumeClaim", spec={"volumeName": "chosen"})),
    ],
    "claimRef's identity": [
        (
            thing(
                "v1",
                "PersistentVolume",
                spec={"claimRef": {"name": "c", "namespace": "n", "uid": "u", "resourceVersion": "7"}},
            ),
            thing("v1", "PersistentVolume", spec={"claimRef": {"name": "c", "namespace": "n"}}),
        )
    ],
    "marks of binding": [
        (annotated("v1", "PersistentVolume", "pv.kubernetes.io/bound-by-controller"), thing("v1", "PersistentVolume"))
    ],
    "job's selector": [
        (job(), thing("batch/v1", "Job", spec={"template": {"metadata": {"labels": {"team": "a"}}}})),
        (job(manualSelector=True), job(manualSelector=True)),
    ],
    "node": [(pod(nodeName="n1"), pod())],
    "token volume": [
        (
            pod(**MOUNTED),
            pod(
                volumes=[{"name": "own"}], containers=[{"name": "a", "volumeMounts": [{"name": "own"}]}, {"name": "b"}]
            ),
        )
    ],
    "default tolerations": [
        (
            pod(
                tolerations=[
                    {"key": "node.kubernetes.io/not-ready", "tolerationSeconds": 300},
                    {"key": "node.kubernetes.io/unreachable", "tolerationSeconds": 5},
                ]
            ),
            pod(tolerations=[{"key": "node.kubernetes.io/unreachable", "tolerationSeconds": 5}]),
        )
    ],
    "service account token": [
        (
            thing(
                "v1",
                "Secret",
                {"annotations": {"kubernetes.io/service-account.uid": "u"}},
                type=TOKEN,
                data={"token": "eA=="},
            ),
            thing("v1", "Secret", type=TOKEN),
        ),
        (
            thing("v1", "Secret", type="Opaque", data={"token": "eA=="}),
            thing("v1", "Secret", type="Opaque", data={"token": "eA=="}),
        ),
    ],
    "generated tokens": [
        (
            thing("v1", "ServiceAccount", secrets=[{"name": "x-token-abcde"}, {"name": "pull"}]),
            thing("v1", "ServiceAccount", secrets=[{"name": "pull"}]),
        )
    ],
}


def test_every_row_has_an_example_and_a_reason() -> None:
    assert set(ROWS) == {field.name for field in FIELDS}
    assert len({field.name for field in FIELDS}) == len(FIELDS)
    assert all(field.why for field in FIELDS)


@pytest.mark.demand("D4")
@pytest.mark.parametrize("row", ROWS)
def test_a_row(row: str) -> None:
    for before, after in ROWS[row]:
        assert cleaned(before) == after
        assert cleaned(cleaned(before)) == cleaned(before)


@pytest.mark.parametrize("row", ROWS)
def test_the_row_itself_does_it(row: str) -> None:
    """Without the row, its first example would stay as it is."""
    (field,) = (field for field in FIELDS if field.name == row)
    before, after = ROWS[row][0]
    field.clean(before)
    metadata = before["metadata"]
    for name in ("annotations", "labels"):
        if name in metadata and not metadata[name]:
            del metadata[name]
    assert before == after


def test_the_given_object_stays_as_it_is() -> None:
    before = thing(metadata={"uid": "u", "annotations": {"a": "b"}}, status={}, data={"a": "1"})
    cleaned(before)
    assert before["metadata"]["uid"] == "u"
    assert "status" in before


def test_what_is_in_no_row_stays() -> None:
    service = thing(
        "v1", "Service", {"labels": {"a": "b"}}, spec={"ports": [{"nodePort": 30080}], "selector": {"a": "b"}}
    )
    assert cleaned(service) == service
