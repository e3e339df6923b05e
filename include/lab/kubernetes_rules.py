"""What the lab's Kubernetes API refuses of an object, and what it puts into one."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from typing import Any, NamedTuple

from include.lab.kubernetes_kinds import Kind

Object = dict[str, Any]
_DNS = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_FREE_NAMES = ("rbac.authorization.k8s.io",)
_FIXED = {"apps/Deployment": "selector", "apps/StatefulSet": "serviceName", "batch/Job": "template"}


class Key(NamedTuple):
    """An object's place."""

    kind: str
    namespace: str
    name: str


class Refusal(Exception):
    """What the API answers instead of an object.

    :param fields: the causes, for ``details``.
    """

    def __init__(self, code: int, reason: str, message: str, fields: tuple[str, ...] = ()) -> None:
        self.code, self.reason, self.message, self.fields = code, reason, message, fields
        super().__init__(message)


def check(kind: Kind, key: Key, live: Object | None, found: Object) -> None:
    """:raises Refusal: when an object must not be like this, or not any more."""
    if kind.group in _FREE_NAMES:
        wrong = key.name in {"", ".", ".."} or "/" in key.name or "%" in key.name
    else:
        wrong = len(key.name) > 253 or not _DNS.fullmatch(key.name)
    if wrong:
        raise Refusal(422, "Invalid", f"metadata.name: Invalid value: {key.name!r}", ("metadata.name",))
    if kind.name == "core/Secret":
        _check_base64(found)
    if live is None:
        return
    if live.get("immutable") and any(live.get(each) != found.get(each) for each in ("data", "immutable")):
        raise Refusal(422, "Invalid", "data: Forbidden: field is immutable when `immutable` is set", ("data",))
    fixed = _FIXED.get(kind.name)
    if fixed and (live.get("spec") or {}).get(fixed) != (found.get("spec") or {}).get(fixed):
        value = json.dumps((found.get("spec") or {}).get(fixed))
        raise Refusal(
            422, "Invalid", f"spec.{fixed}: Invalid value: {value}: field is immutable", (f"spec.{fixed}",)
        )


def fill(kind: Kind, found: Object) -> None:
    """What the API server puts into objects of some kinds."""
    spec, metadata = found.get("spec"), found["metadata"]
    if kind.name == "core/Service" and isinstance(spec, dict) and spec.get("type") != "ExternalName":
        number = int(hashlib.sha256(metadata["uid"].encode()).hexdigest()[:4], 16)
        spec.setdefault("clusterIP", f"10.96.{number >> 8}.{number & 255}")
        spec.setdefault("clusterIPs", [spec["clusterIP"]])
    elif kind.name == "core/Secret" and found.get("type") == "kubernetes.io/service-account-token":
        metadata.setdefault("annotations", {})["kubernetes.io/service-account.uid"] = metadata["uid"]
        token = base64.b64encode(f"token-{metadata['uid']}".encode()).decode()
        found["data"] = {"token": token, "namespace": base64.b64encode(metadata["namespace"].encode()).decode()}
    elif kind.name == "core/Secret":
        found.setdefault("type", "Opaque")
    elif kind.name == "core/Namespace":
        found.setdefault("spec", {})["finalizers"] = ["kubernetes"]
        metadata.setdefault("labels", {})["kubernetes.io/metadata.name"] = metadata["name"]
    elif kind.name == "apps/Deployment":
        metadata.setdefault("annotations", {}).setdefault("deployment.kubernetes.io/revision", "1")


def _check_base64(found: Object) -> None:
    for value in (found.get("data") or {}).values():
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise Refusal(400, "BadRequest", f"illegal base64 data: {value!r}") from None
