"""Objects that the cluster makes by itself: none of them is kept, and each kind of them is told in the manifest.

``KINDS`` are not even listed, so no right on them is needed; ``OBJECTS`` are told from their neighbours one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from include.recovery.kubernetes.document import Object, kind_of

SEALED = "bitnami.com/SealedSecret"
_HOLDS_CONTENT = frozenset({"core/Secret", "core/ConfigMap", "core/PersistentVolumeClaim"})
_PUBLISHED = frozenset({"kube-root-ca.crt", "openshift-service-ca.crt"})
_FINISHED = frozenset({"Complete", "Failed"})


@dataclass(frozen=True)
class MadeKind:
    """A kind whose objects all come from the cluster.

    :param kind: pattern over ``<group>/<Kind>``.
    """

    kind: str
    why: str


KINDS: tuple[MadeKind, ...] = (
    MadeKind("core/Event", "what happened lately; gone after an hour"),
    MadeKind("events.k8s.io/Event", "what happened lately; gone after an hour"),
    MadeKind("core/Node", "machines register themselves"),
    MadeKind("core/ComponentStatus", "measured when it is asked for"),
    MadeKind("coordination.k8s.io/Lease", "who leads now; renewed every few seconds"),
    MadeKind("metrics.k8s.io/*", "measured anew all the time"),
    MadeKind("custom.metrics.k8s.io/*", "measured anew all the time"),
    MadeKind("external.metrics.k8s.io/*", "measured anew all the time"),
    MadeKind("certificates.k8s.io/CertificateSigningRequest", "signed and gone within hours"),
    MadeKind("storage.k8s.io/CSINode", "nodes say which volumes they can mount"),
    MadeKind("storage.k8s.io/CSIStorageCapacity", "drivers say how much room they have"),
    MadeKind("storage.k8s.io/VolumeAttachment", "which volume is mounted on which node"),
    MadeKind("resource.k8s.io/ResourceSlice", "nodes say which devices they have"),
    MadeKind("networking.k8s.io/IPAddress", "addresses that this cluster has given away"),
    MadeKind("internal.apiserver.k8s.io/StorageVersion", "what API servers agree on among themselves"),
)


@dataclass(frozen=True)
class Known:
    """What one object cannot tell by itself.

    :param kept_kinds: ``<group>/<Kind>`` of all kinds that this export keeps.
    :param excluded: whether the policy excludes a kind's object, by kind and name.
    :param selecting: ``<namespace>/<name>`` of Services with a selector.
    """

    kept_kinds: frozenset[str] = frozenset()
    excluded: Callable[[str, str], bool] = field(default=lambda _kind, _name: False)
    selecting: frozenset[str] = frozenset()


@dataclass(frozen=True)
class MadeObject:
    """One row.

    :param name: what it is about, in words.
    :param kinds: patterns over ``<group>/<Kind>``.
    :param applies: whether an object is one of them.
    """

    name: str
    kinds: tuple[str, ...]
    applies: Callable[[Object, Known], bool]
    why: str


def made_kind(kind: str) -> MadeKind | None:
    """The row of a kind that is never listed."""
    return next((row for row in KINDS if fnmatchcase(kind, row.kind)), None)


def made_object(found: Object, known: Known) -> MadeObject | None:
    """The row of an object that is not kept; None for one that is."""
    kind = kind_of(found)
    for row in OBJECTS:
        if any(fnmatchcase(kind, pattern) for pattern in row.kinds) and row.applies(found, known):
            return row
    return None


def _label(found: Object, key: str) -> str:
    return str((found["metadata"].get("labels") or {}).get(key, ""))


def _annotation(found: Object, key: str) -> str:
    return str((found["metadata"].get("annotations") or {}).get(key, ""))


def _controller(found: Object) -> Object | None:
    return next((each for each in found["metadata"].get("ownerReferences") or () if each.get("controller")), None)


def _made_by_owner(found: Object, known: Known) -> bool:
    owner = _controller(found)
    if owner is None or kind_of(found) in _HOLDS_CONTENT:
        return False  # what has content of its own is kept, since its owner may not know it
    kind = kind_of(owner)
    if made_kind(kind) is not None:
        return True
    return kind in known.kept_kinds and not known.excluded(kind, str(owner.get("name")))


def _unsealed(found: Object, known: Known) -> bool:
    owner = _controller(found)
    return owner is not None and kind_of(owner) == SEALED and SEALED in known.kept_kinds and not known.excluded(
        SEALED, str(owner.get("name"))
    )  # fmt: skip


def _of_service(found: Object, known: Known) -> bool:
    metadata = found["metadata"]
    managed = "".join(_label(found, f"{each}.kubernetes.io/managed-by") for each in ("endpoints", "endpointslice"))
    return "controller" in managed or f"{metadata.get('namespace')}/{metadata['name']}" in known.selecting


def _of_the_api(found: Object, _known: Known) -> bool:
    return (found["metadata"].get("namespace"), found["metadata"]["name"]) == ("default", "kubernetes")


def _finished_job(found: Object, _known: Known) -> bool:
    conditions = (found.get("status") or {}).get("conditions") or ()
    return any(each.get("type") in _FINISHED and each.get("status") == "True" for each in conditions)


def _finished_pod(found: Object, _known: Known) -> bool:
    return (found.get("status") or {}).get("phase") in {"Succeeded", "Failed"}


def _provisioned(found: Object, _known: Known) -> bool:
    deleted = (found.get("spec") or {}).get("persistentVolumeReclaimPolicy") == "Delete"
    return deleted and bool(_annotation(found, "pv.kubernetes.io/provisioned-by"))


OBJECTS: tuple[MadeObject, ...] = (
    MadeObject(
        "being deleted", ("*/*",), lambda found, _: bool(found["metadata"].get("deletionTimestamp")),
        "it was being deleted when it was read",
    ),
    MadeObject("made by its owner", ("*/*",), _made_by_owner, "its owner makes it anew, and is in the backup"),
    MadeObject(
        "unsealed", ("core/Secret",), _unsealed, "unsealed anew from the SealedSecret of its name, which is kept",
    ),
    MadeObject("of the API server", ("core/Service", "core/Endpoints", "discovery.k8s.io/EndpointSlice"), _of_the_api,
               "the way to the API server itself"),
    MadeObject("addresses of a Service", ("core/Endpoints", "discovery.k8s.io/EndpointSlice"), _of_service,
               "written by the controller from the Pods that the Service selects"),
    MadeObject(
        "published", ("core/ConfigMap",), lambda found, _: found["metadata"]["name"] in _PUBLISHED,
        "the cluster's own certificate authority, published into each namespace",
    ),
    MadeObject(
        "default roles", ("rbac.authorization.k8s.io/*",),
        lambda found, _: _label(found, "kubernetes.io/bootstrapping") == "rbac-defaults",
        "the API server makes its default roles anew at each start",
    ),
    MadeObject(
        "built-in API", ("apiregistration.k8s.io/APIService",),
        lambda found, _: bool(_label(found, "kube-aggregator.kubernetes.io/automanaged")),
        "the API server registers its own and those of custom resources by itself",
    ),
    MadeObject(
        "default flow control", ("flowcontrol.apiserver.k8s.io/*",),
        lambda found, _: _annotation(found, "apf.kubernetes.io/autoupdate-spec") == "true",
        "the API server makes and updates them by itself",
    ),
    MadeObject(
        "system priorities", ("scheduling.k8s.io/PriorityClass",),
        lambda found, _: found["metadata"]["name"].startswith("system-"), "part of every cluster",
    ),
    MadeObject(
        "provisioned volume", ("core/PersistentVolume",),
        _provisioned, "made for a claim, and deleted with it; the claim gets a new one. One that is retained stays",
    ),
    MadeObject("finished job", ("batch/Job",), _finished_job, "it has run; put back, it would run again"),
    MadeObject("finished Pod", ("core/Pod",), _finished_pod, "it has run; put back, it would run again"),
)  # fmt: skip
"""Every row has an example in its test; the first that applies is told."""
