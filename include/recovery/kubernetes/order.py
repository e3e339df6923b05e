"""What has to be there before what, when objects are applied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from include.recovery.kubernetes.document import CORE, Object, group_of, kind_of, name_of

CRD = "apiextensions.k8s.io/CustomResourceDefinition"
NAMESPACE = "core/Namespace"
API_SERVICE = "apiregistration.k8s.io/APIService"
STEPS: tuple[tuple[str, ...], ...] = (
    (CRD,),
    (NAMESPACE,),
    ("core/ServiceAccount",),
    ("rbac.authorization.k8s.io/Role", "rbac.authorization.k8s.io/ClusterRole"),
    ("rbac.authorization.k8s.io/*",),
    ("scheduling.k8s.io/*", "storage.k8s.io/*", "node.k8s.io/*", "policy/*", "core/ResourceQuota", "core/LimitRange"),
    ("core/Secret", "core/ConfigMap", "bitnami.com/SealedSecret"),
    ("core/PersistentVolume",),
    ("core/PersistentVolumeClaim",),
    ("core/Service", "core/Endpoints", "discovery.k8s.io/*"),
    ("dapr.io/*",),
    ("core/Pod", "core/ReplicationController", "core/PodTemplate", "apps/*", "batch/*"),
    ("networking.k8s.io/*", "autoscaling/*"),
    ("*/*",),
    ("admissionregistration.k8s.io/*", API_SERVICE),
)
"""Patterns over ``<group>/<Kind>``, the first step that fits counts. The last ones speak to servers that run only then:
a webhook that is registered before its Pods would refuse everything behind it."""

_BUILT_IN = frozenset({
    CORE, "apps", "batch", "autoscaling", "policy", "extensions", "admissionregistration.k8s.io",
    "apiextensions.k8s.io", "apiregistration.k8s.io", "authentication.k8s.io", "authorization.k8s.io",
    "certificates.k8s.io", "coordination.k8s.io", "discovery.k8s.io", "events.k8s.io", "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io", "networking.k8s.io", "node.k8s.io", "rbac.authorization.k8s.io", "resource.k8s.io",
    "scheduling.k8s.io", "storage.k8s.io", "storagemigration.k8s.io",
})  # fmt: skip


def step_of(kind: str) -> int:
    """In which step objects of a kind are applied."""
    first_fit = (number for number, patterns in enumerate(STEPS) if any(fnmatchcase(kind, each) for each in patterns))
    generic = len(STEPS) - 2
    number = next(first_fit)
    if number == generic and any(fnmatchcase(kind, each) for each in STEPS[-1]):
        return len(STEPS) - 1
    return number


def is_built_in(group: str) -> bool:
    """Whether every cluster has a group by itself."""
    return group in _BUILT_IN


class Surroundings:
    """What a set of objects has to stand in: namespaces and kinds. Fill it, then ask."""

    def __init__(self) -> None:
        self._namespaces: set[str] = set()
        self._defined: set[str] = set()
        self._served: set[str] = set()
        self._needed_namespaces: dict[str, str] = {}
        self._needed_kinds: dict[str, str] = {}

    def add(self, found: Object) -> None:
        """Take an object in."""
        kind, name, spec = kind_of(found), name_of(found), found.get("spec") or {}
        if kind == NAMESPACE:
            self._namespaces.add(found["metadata"]["name"])
        elif kind == CRD:
            self._defined.add(f"{spec.get('group')}/{(spec.get('names') or {}).get('kind')}")
        elif kind == API_SERVICE:
            self._served.add(str(spec.get("group")))
        namespace = found["metadata"].get("namespace")
        if namespace:
            self._needed_namespaces.setdefault(namespace, name)
        if not is_built_in(group_of(found["apiVersion"])):
            self._needed_kinds.setdefault(kind, name)

    def missing(self) -> Iterator[tuple[str, str]]:
        """The kind of what is needed and not there, and a clause."""
        for namespace, name in sorted(self._needed_namespaces.items()):
            if namespace not in self._namespaces:
                yield NAMESPACE, f"{name} needs namespace {namespace}"
        for kind, name in sorted(self._needed_kinds.items()):
            if kind not in self._defined and kind.partition("/")[0] not in self._served:
                yield CRD, f"{name} needs the CustomResourceDefinition of {kind}"


def in_order(names_and_kinds: Iterable[tuple[str, str]]) -> list[str]:
    """Names in the order in which they are applied.

    :param names_and_kinds: a name and its ``<group>/<Kind>`` each.
    """
    return [name for name, kind in sorted(names_and_kinds, key=lambda row: (step_of(row[1]), row[0]))]
