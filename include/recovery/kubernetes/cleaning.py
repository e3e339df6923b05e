"""Fields that the cluster itself writes: none of them is kept, since none means anything in another cluster.

``FIELDS`` is the whole list. What is not in it stays as it is.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from include.recovery.kubernetes.document import Object, kind_of

ANY = ("*/*",)
WORKLOADS = ("apps/*", "batch/*", "core/ReplicationController", "core/PodTemplate")
_CLUSTER_FINALIZERS = frozenset({
    "kubernetes", "foregroundDeletion", "orphan", "kubernetes.io/pvc-protection", "kubernetes.io/pv-protection",
    "service.kubernetes.io/load-balancer-cleanup", "batch.kubernetes.io/job-tracking",
})  # fmt: skip
_TOLERATED = frozenset({"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"})
_CLAIM_MARKS = (
    "pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller",
    "volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner",
    "volume.kubernetes.io/selected-node",
)  # fmt: skip
_JOB_LABELS = ("controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name")
_TOKEN_TYPE = "kubernetes.io/service-account-token"  # noqa: S105 - a type's name

Clean = Callable[[Object], None]


@dataclass(frozen=True)
class Field:
    """One row.

    :param name: what it is about, in words.
    :param kinds: patterns over ``<group>/<Kind>``.
    :param clean: takes it out of an object, in place.
    """

    name: str
    kinds: tuple[str, ...]
    clean: Clean
    why: str


def cleaned(found: Object) -> Object:
    """A copy of an object without anything that the cluster wrote into it."""
    found = copy.deepcopy(found)
    kind = kind_of(found)
    for field in FIELDS:
        if any(fnmatchcase(kind, pattern) for pattern in field.kinds):
            field.clean(found)
    metadata = found.get("metadata") or {}
    for name in ("annotations", "labels", "finalizers"):
        if name in metadata and not metadata[name]:
            del metadata[name]
    return found


def _inside(found: Any, path: tuple[str, ...]) -> list[Object]:
    """The maps at a path, where ``*`` means each of a list."""
    here = [found]
    for step in path:
        if step == "*":
            here = [each for each_list in here if isinstance(each_list, list) for each in each_list]
        else:
            here = [each[step] for each in here if isinstance(each, dict) and step in each]
    return [each for each in here if isinstance(each, dict)]


def _without(*keys: str, at: tuple[str, ...] = ()) -> Clean:
    def clean(found: Object) -> None:
        for place in _inside(found, at):
            for key in keys:
                place.pop(key, None)

    return clean


def _metadata(*keys: str) -> Clean:
    return _without(*keys, at=("metadata",))


def _annotations(*keys: str) -> Clean:
    return _without(*keys, at=("metadata", "annotations"))


def _null_times(found: Any) -> None:
    """``creationTimestamp: null`` is what clients written in Go put into every template."""
    if isinstance(found, list):
        for each in found:
            _null_times(each)
    elif isinstance(found, dict):
        metadata = found.get("metadata")
        if isinstance(metadata, dict) and metadata.get("creationTimestamp", "") is None:
            del metadata["creationTimestamp"]
        for each in found.values():
            _null_times(each)


def _finalizers(found: Object) -> None:
    of_namespace = _inside(found, ("spec",)) if kind_of(found) == "core/Namespace" else []
    for place in (*_inside(found, ("metadata",)), *of_namespace):
        kept = [each for each in place.get("finalizers") or () if each not in _CLUSTER_FINALIZERS]
        if kept:
            place["finalizers"] = kept
        else:
            place.pop("finalizers", None)


def _service_addresses(found: Object) -> None:
    spec = found.get("spec") or {}
    if spec.get("clusterIP") != "None":  # a headless service is one by choice
        for key in ("clusterIP", "clusterIPs"):
            spec.pop(key, None)


def _bound_volume(found: Object) -> None:
    annotations = (found.get("metadata") or {}).get("annotations") or {}
    if annotations.get("pv.kubernetes.io/bound-by-controller") == "yes" and isinstance(found.get("spec"), dict):
        found["spec"].pop("volumeName", None)
    for key in _CLAIM_MARKS:
        annotations.pop(key, None)


def _job_selector(found: Object) -> None:
    spec = found.get("spec") or {}
    if spec.get("manualSelector"):
        return
    spec.pop("selector", None)
    for labels in (*_inside(spec, ("template", "metadata", "labels")), *_inside(found, ("metadata", "labels"))):
        for key in _JOB_LABELS:
            labels.pop(key, None)


def _token_volume(found: Object) -> None:
    spec = found.get("spec") or {}
    names = {each["name"] for each in spec.get("volumes") or () if each.get("name", "").startswith("kube-api-access-")}
    spec["volumes"] = [each for each in spec.get("volumes") or () if each.get("name") not in names]
    for container in (*_inside(spec, ("containers", "*")), *_inside(spec, ("initContainers", "*"))):
        mounts = [each for each in container.get("volumeMounts") or () if each.get("name") not in names]
        container["volumeMounts"] = mounts
        if not mounts:
            del container["volumeMounts"]
    if not spec["volumes"]:
        del spec["volumes"]


def _default_tolerations(found: Object) -> None:
    spec = found.get("spec") or {}
    kept = [
        each
        for each in spec.get("tolerations") or ()
        if not (each.get("key") in _TOLERATED and each.get("tolerationSeconds") == 300)
    ]
    if kept:
        spec["tolerations"] = kept
    else:
        spec.pop("tolerations", None)


def _token(found: Object) -> None:
    if found.get("type") == _TOKEN_TYPE:
        found.pop("data", None)
        _annotations("kubernetes.io/service-account.uid")(found)


def _generated_tokens(found: Object) -> None:
    start = f"{(found.get('metadata') or {}).get('name')}-token-"
    kept = [each for each in found.get("secrets") or () if not str(each.get("name", "")).startswith(start)]
    if kept:
        found["secrets"] = kept
    else:
        found.pop("secrets", None)


FIELDS: tuple[Field, ...] = (
    Field("status", ANY, _without("status"), "controllers write it from what they see"),
    Field("uid", ANY, _metadata("uid"), "the cluster gives each object one; another cluster gives another"),
    Field("resourceVersion", ANY, _metadata("resourceVersion"), "counts the cluster's own writes"),
    Field("generation", ANY, _metadata("generation"), "counts changes of the spec in this cluster"),
    Field("creationTimestamp", ANY, _metadata("creationTimestamp"), "when this cluster made it"),
    Field("empty creationTimestamp", ANY, _null_times, "says nothing, and comes and goes with the client's version"),
    Field("managedFields", ANY, _metadata("managedFields"), "who wrote which field of this very object"),
    Field("selfLink", ANY, _metadata("selfLink"), "an address that clusters before 1.20 gave"),
    Field(
        "ownerReferences", ANY, _metadata("ownerReferences"),
        "name owners by uid: with those of another cluster the garbage collector removes the object at once",
    ),
    Field("grace of deletion", ANY, _metadata("deletionGracePeriodSeconds"), "belongs to a deletion under way"),
    Field("the cluster's finalizers", ANY, _finalizers, "set and removed by the cluster; others stay"),
    Field(
        "last-applied-configuration", ANY, _annotations("kubectl.kubernetes.io/last-applied-configuration"),
        "the whole object again as kubectl saw it, Secrets in clear text included",
    ),
    Field(
        "leader election", ANY, _annotations("control-plane.alpha.kubernetes.io/leader"),
        "who leads now; renewed every few seconds",
    ),
    Field(
        "revision", ("apps/Deployment",), _annotations("deployment.kubernetes.io/revision"),
        "counts the rollouts of this cluster",
    ),
    Field(
        "template generation", ("apps/DaemonSet",), _annotations("deprecated.daemonset.template.generation"),
        "counts the rollouts of this cluster",
    ),
    Field(
        "metrics of the autoscaler", ("autoscaling/*",),
        _annotations("autoscaling.alpha.kubernetes.io/conditions", "autoscaling.alpha.kubernetes.io/current-metrics"),
        "measured anew all the time",
    ),
    Field("service addresses", ("core/Service",), _service_addresses, "taken from this cluster's range of addresses"),
    Field(
        "claim's marks", ("core/PersistentVolumeClaim",),
        _bound_volume,
        "the volume that this cluster has found for the claim; one that the user has chosen stays",
    ),
    Field(
        "claimRef's identity", ("core/PersistentVolume",),
        _without("uid", "resourceVersion", at=("spec", "claimRef")),
        "names the claim by this cluster's uid: with it, the same claim in another cluster never binds",
    ),
    Field(
        "marks of binding", ("core/PersistentVolume",), _annotations("pv.kubernetes.io/bound-by-controller"),
        "says that this cluster has bound it",
    ),
    Field("job's selector", ("batch/Job",), _job_selector, "made from the uid; one with manualSelector stays"),
    Field("node", ("core/Pod",), _without("nodeName", at=("spec",)), "chosen by the scheduler"),
    Field("token volume", ("core/Pod",), _token_volume, "mounted into each Pod by the cluster"),
    Field("default tolerations", ("core/Pod",), _default_tolerations, "added to each Pod by the cluster"),
    Field("service account token", ("core/Secret",), _token, "signed by this cluster; a new one comes by itself"),
    Field("generated tokens", ("core/ServiceAccount",), _generated_tokens, "made by clusters before 1.24"),
)  # fmt: skip
"""Every row has an example in its test."""
