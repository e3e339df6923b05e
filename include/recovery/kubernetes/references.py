"""Which Secrets, ConfigMaps, claims and service accounts an object needs, and which an object provides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from include.recovery.kubernetes.document import Object, kind_of, prefix
from include.recovery.kubernetes.made_anew import SEALED

SECRET, CONFIG, CLAIM, ACCOUNT = "Secret", "ConfigMap", "PersistentVolumeClaim", "ServiceAccount"
_TEMPLATES = {
    "core/Pod": (), "batch/CronJob": ("spec", "jobTemplate", "spec", "template"), "core/PodTemplate": ("template",),
}  # fmt: skip
_MADE_BY = {
    "cert-manager.io/Certificate": ("spec", "secretName"),
    "external-secrets.io/ExternalSecret": ("spec", "target", "name"),
    SEALED: ("spec", "template", "metadata", "name"),
}


class Needs(NamedTuple):
    """One reference.

    :param name: of the object that is needed, as backups name it.
    """

    name: str
    optional: bool = False


def needs(found: Object) -> Iterator[Needs]:
    """What an object refers to by name in its namespace. ``default`` service accounts are everywhere."""
    namespace = found["metadata"].get("namespace")
    for kind, name, optional in _needed(found):
        if namespace and name and not (kind == ACCOUNT and name == "default"):
            yield Needs(prefix("core", kind, namespace) + name, optional)


def provides(found: Object) -> Iterator[str]:
    """Names of objects that are there once this one is and its controller has run."""
    path = _MADE_BY.get(kind_of(found))
    namespace = found["metadata"].get("namespace")
    if path is not None and namespace:
        name = _at(found, *path) or found["metadata"]["name"]
        yield prefix("core", SECRET, namespace) + str(name)


def _needed(found: Object) -> Iterator[tuple[str, str, bool]]:
    spec = found.get("spec") or {}
    match kind_of(found):
        case "core/ServiceAccount":
            for key in ("secrets", "imagePullSecrets"):
                yield from ((SECRET, each.get("name", ""), False) for each in found.get(key) or ())
        case "networking.k8s.io/Ingress":
            yield from ((SECRET, each.get("secretName", ""), False) for each in spec.get("tls") or ())
        case "dapr.io/Component":
            if (_at(found, "auth", "secretStore") or "kubernetes") == "kubernetes":
                references = (each.get("secretKeyRef") or {} for each in spec.get("metadata") or ())
                yield from ((SECRET, each.get("name", ""), False) for each in references)
        case kind:
            path = _TEMPLATES.get(kind, ("spec", "template"))
            template = _at(found, *path) if path else found
            pod = template.get("spec") if isinstance(template, dict) else None
            if isinstance(pod, dict) and isinstance(pod.get("containers"), list):
                yield from _of_pod(pod)


def _of_pod(pod: Object) -> Iterator[tuple[str, str, bool]]:
    yield ACCOUNT, pod.get("serviceAccountName") or "", False
    yield from ((SECRET, each.get("name", ""), False) for each in pod.get("imagePullSecrets") or ())
    for volume in pod.get("volumes") or ():
        yield from _of_volume(volume)
    for container in [*(pod.get("containers") or ()), *(pod.get("initContainers") or ())]:
        for source in container.get("envFrom") or ():
            yield from _by_reference(source, "secretRef", "configMapRef")
        for variable in container.get("env") or ():
            yield from _by_reference(variable.get("valueFrom") or {}, "secretKeyRef", "configMapKeyRef")


def _of_volume(volume: Object) -> Iterator[tuple[str, str, bool]]:
    secret = volume.get("secret") or {}
    yield SECRET, secret.get("secretName", ""), bool(secret.get("optional"))
    config = volume.get("configMap") or {}
    yield CONFIG, config.get("name", ""), bool(config.get("optional"))
    yield CLAIM, (volume.get("persistentVolumeClaim") or {}).get("claimName", ""), False
    for source in (volume.get("projected") or {}).get("sources") or ():
        yield from _by_reference(source, "secret", "configMap")


def _by_reference(found: Object, secret: str, config: str) -> Iterator[tuple[str, str, bool]]:
    for kind, key in ((SECRET, secret), (CONFIG, config)):
        reference = found.get(key) or {}
        yield kind, reference.get("name", ""), bool(reference.get("optional"))


def _at(found: Any, *path: str) -> Any:
    for step in path:
        found = found.get(step) if isinstance(found, dict) else None
    return found
