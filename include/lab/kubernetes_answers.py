"""What the lab's Kubernetes API answers: discovery, objects, lists in pages of one moment."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from include.lab.kubernetes_kinds import Kind
from include.lab.kubernetes_rules import Key, Object, Refusal
from include.lab.kubernetes_store import Store

VERSION = "v1.34.0-lab"
_REQUIREMENT = re.compile(r"\s*(!?)([^\s=!,()]+)\s*(?:(==|=|!=|in|notin)\s*(\([^)]*\)|[^,]*))?\s*(?:,|$)")


@dataclass(frozen=True)
class Request:
    """One request.

    :param verb: as rights name it.
    :param kind: what it is for; None for discovery.
    """

    method: str
    path: str
    query: Mapping[str, str]
    verb: str = ""
    kind: Kind | None = None
    namespace: str | None = None
    name: str | None = None
    part: str | None = None


def resource(store: Store, request: Request, content_type: str, body: bytes) -> Object:
    kind, query = request.kind, request.query
    assert kind is not None
    if request.verb == "list":
        return _list(store, request, kind)
    key = Key(kind.name, request.namespace or "", request.name or "")
    dry, manager = query.get("dryRun") == "All", query.get("fieldManager") or "client"
    if request.verb == "get":
        return dict(store.get(key))
    if request.verb == "delete":
        return dict(store.delete(key, dry=dry))
    if "json" not in content_type and "yaml" not in content_type:
        raise Refusal(415, "UnsupportedMediaType", "this server reads JSON alone")
    found = _body(body)
    if request.part == "status":
        return dict(store.status(key, found.get("status")))
    if request.verb == "create":
        return dict(store.create(kind, request.namespace, found, manager=manager, dry=dry))
    if request.verb == "update":
        return dict(store.replace(kind, key, found, manager=manager, dry=dry))
    if "apply-patch" in content_type:
        force = query.get("force") == "true"
        return dict(store.apply(kind, key, found, manager=manager, force=force, dry=dry))
    return dict(store.merge(kind, key, found, manager=manager, dry=dry))


def _list(store: Store, request: Request, kind: Kind) -> Object:
    """A page of a list. The token to go on with holds the moment and where to go on."""
    query, limit = request.query, int(request.query.get("limit") or 0)
    with store.lock:
        revision, behind = store.revision, ("", "")
        if query.get("continue"):
            moment = json.loads(base64.urlsafe_b64decode(query["continue"]))
            revision, behind = int(moment["revision"]), tuple(moment["behind"])
            if revision < store.compacted:
                raise Refusal(410, "Expired", "The provided continue parameter is too old")
        wanted = [
            found
            for found in store.objects(kind.name, request.namespace, revision)
            if _place(found) > behind and _selected(found, query)
        ]
    page = wanted[:limit] if limit else wanted
    metadata: Object = {"resourceVersion": str(revision)}
    if len(page) < len(wanted):
        moment = {"revision": revision, "behind": _place(page[-1])}
        metadata["continue"] = base64.urlsafe_b64encode(json.dumps(moment).encode()).decode()
        metadata["remainingItemCount"] = len(wanted) - len(page)
    return {"kind": f"{kind.kind}List", "metadata": metadata, "items": [dict(found) for found in page]}


def _place(found: Object) -> tuple[str, str]:
    return found["metadata"].get("namespace") or "", found["metadata"]["name"]


def _selected(found: Object, query: Mapping[str, str]) -> bool:
    labels = found["metadata"].get("labels") or {}
    fields = {"metadata.name": found["metadata"]["name"], "metadata.namespace": found["metadata"].get("namespace")}
    return _matches(query.get("labelSelector") or "", labels) and _matches(query.get("fieldSelector") or "", fields)


def _matches(selector: str, values: Mapping[str, Any]) -> bool:
    for absent, key, sign, wanted in _REQUIREMENT.findall(selector):
        options = {each.strip() for each in wanted.strip("() ").split(",")}
        if sign in {"=", "==", "in"}:
            met = values.get(key) in options
        elif sign in {"!=", "notin"}:
            met = values.get(key) not in options
        else:
            met = (key in values) is not bool(absent)
        if not met:
            return False
    return True


def discovery(store: Store, path: str) -> Object:
    words = [word for word in path.split("/") if word]
    match words:
        case ["version"]:
            return {"major": "1", "minor": "34", "gitVersion": VERSION, "platform": "linux/amd64"}
        case ["healthz" | "readyz" | "livez"]:
            return {"status": "ok"}
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        case ["apis"]:
            groups = dict.fromkeys(kind.group for kind in store.kinds() if kind.group)
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(store, group) for group in groups]}
        case ["apis", group]:
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(store, group)}
        case ["api", version] | ["apis", _, version]:
            group = words[1] if len(words) == 3 else ""
            kinds = [kind for kind in store.kinds() if kind.group == group and version in kind.versions]
            if kinds:
                resources = [kind.resource() for kind in kinds]
                name = f"{group}/{version}" if group else version
                return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": resources}
    raise Refusal(404, "NotFound", "the server could not find the requested resource")


def _group(store: Store, group: str) -> Object:
    names = sorted({version for kind in store.kinds() if kind.group == group for version in kind.versions}, key=_age)
    versions = [{"groupVersion": f"{group}/{name}", "version": name} for name in names]
    if not versions:
        raise Refusal(404, "NotFound", "the server could not find the requested resource")
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def _age(version: str) -> tuple[int, int, int]:
    """By which versions are sorted, the preferred one first: v2, v1, v1beta1, v2alpha1, v1alpha1."""
    found = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if found is None:
        return 3, 0, 0
    return {None: 0, "beta": 1, "alpha": 2}[found[2]], -int(found[1]), -int(found[3] or 0)


def _body(body: bytes) -> Object:
    try:
        found = json.loads(body)
    except ValueError:
        found = yaml.safe_load(body)  # kubectl applies YAML
    if not isinstance(found, dict):
        raise Refusal(400, "BadRequest", "the body is no object")
    return found
