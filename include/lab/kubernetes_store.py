"""The objects of the lab's Kubernetes API: every revision of each, as etcd keeps them until they are compacted."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from include.lab.kubernetes_fields import Conflict, Owners, apply, merge, own
from include.lab.kubernetes_kinds import BUILT_IN, Kind
from include.lab.kubernetes_rules import Key, Object, Refusal, check, fill

_KEEP = ("uid", "creationTimestamp", "generation")


class Store:
    """The objects.

    :param folder: keeps them, a file each; None keeps them in memory alone.
    :ivar fill: what the server puts into objects, as webhooks do.
    :param establish_seconds: from the making of a CustomResourceDefinition until its kind is served.
    """

    def __init__(self, folder: Path | None = None, establish_seconds: float = 0) -> None:
        self._folder, self._establish = folder, establish_seconds
        self._history: dict[Key, list[tuple[int, Object | None]]] = {}
        self._keys: dict[str, set[Key]] = {}
        self.fill: Callable[[Kind, Object], None] = fill
        self._owners: dict[Key, Owners] = {}
        self._established: dict[str, float] = {}
        self.revision, self.compacted = 1, 0
        self.lock = threading.RLock()
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for path in sorted(folder.glob("*.json")):
                self._load(json.loads(path.read_bytes()))
        if self.find(Key("core/Namespace", "", "default")) is None:
            self.create(self.kind("", "namespaces"), None, {"metadata": {"name": "default"}})

    def kinds(self) -> list[Kind]:
        """All that are served now."""
        defined = map(self._defined, self.objects("apiextensions.k8s.io/CustomResourceDefinition"))
        return [*BUILT_IN, *(kind for kind in defined if kind is not None)]

    def kind(self, group: str, plural: str) -> Kind:
        """:raises Refusal: 404 when none is served by this name."""
        for kind in self.kinds():
            if (kind.group, kind.plural) == (group, plural):
                return kind
        raise Refusal(404, "NotFound", "the server could not find the requested resource")

    def find(self, key: Key, at: int | None = None) -> Object | None:
        """An object as it was at a revision."""
        for revision, found in reversed(self._history.get(key, ())):
            if at is None or revision <= at:
                return found
        return None

    def get(self, key: Key) -> Object:
        """:raises Refusal: 404."""
        found = self.find(key)
        if found is None:
            raise Refusal(404, "NotFound", f'{key.kind.partition("/")[2].lower()}s "{key.name}" not found')
        return self._with_status(found)

    def objects(self, kind: str, namespace: str | None = None, at: int | None = None) -> Iterator[Object]:
        """Those of a kind, as they were at a revision, in order."""
        for key in sorted(self._keys.get(kind, set()).copy()):
            found = self.find(key, at) if namespace in {None, key.namespace} else None
            if found is not None:
                yield self._with_status(found)

    def create(
        self, kind: Kind, namespace: str | None, found: Object, *, manager: str = "lab", dry: bool = False
    ) -> Object:
        """Make an object. :raises Refusal: when it is there, or is not allowed."""
        name = (found.get("metadata") or {}).get("name") or ""
        key = Key(kind.name, namespace or "", name)
        with self.lock:
            if self.find(key) is not None:
                raise Refusal(409, "AlreadyExists", f'{kind.plural} "{name}" already exists')
            return self._write(kind, key, None, found, manager, dry=dry)

    def replace(self, kind: Kind, key: Key, found: Object, *, manager: str = "lab", dry: bool = False) -> Object:
        """Exchange an object. :raises Refusal: 409 when it was read before it changed."""
        with self.lock:
            return self._write(kind, key, self.get(key), found, manager, dry=dry)

    def merge(self, kind: Kind, key: Key, change: Object, *, manager: str = "lab", dry: bool = False) -> Object:
        """JSON merge patch."""
        with self.lock:
            live = self.get(key)
            return self._write(kind, key, live, {**merge(live, change)}, manager, dry=dry, given=change)

    def apply(self, kind: Kind, key: Key, wanted: Object, *, manager: str, force: bool, dry: bool = False) -> Object:
        """Server-side apply: makes the object, or sets the fields that are given."""
        with self.lock:
            live = self.find(key)
            owners = dict(self._owners.get(key, {}))
            wanted = {name: value for name, value in wanted.items() if name != "status"}
            try:
                result = apply(live or {}, wanted, owners, manager, force=force)
            except Conflict as conflict:
                raise Refusal(409, "Conflict", f"Apply failed with conflicts: {conflict}") from None
            return self._write(kind, key, live, result, manager, dry=dry, owners=owners, given=wanted)

    def status(self, key: Key, status: Any) -> Object:
        """What controllers write."""
        with self.lock:
            found = {**copy.deepcopy(self.get(key)), "status": status}
            return self._commit(key, found)

    def delete(self, key: Key, *, dry: bool = False) -> Object:
        """Remove an object; a namespace with all that is in it."""
        with self.lock:
            found = self.get(key)
            whole = key.kind == "core/Namespace"
            inside = [each for each in self._history if whole and each.namespace == key.name and self.find(each)]
            for each in [*inside, key] if not dry else []:
                self.revision += 1
                self._history[each].append((self.revision, None))
                self._owners.pop(each, None)
                if self._folder is not None:
                    self._file(each).unlink(missing_ok=True)
            return found

    def compact(self) -> None:
        """Forget all but the present: lists that were begun before cannot go on."""
        with self.lock:
            self.compacted = self.revision
            self._history = {key: rows[-1:] for key, rows in self._history.items() if rows[-1][1] is not None}
            self._keys = {kind: keys & self._history.keys() for kind, keys in self._keys.items()}

    def _write(
        self, kind: Kind, key: Key, live: Object | None, found: Object, manager: str, *, dry: bool,
        owners: Owners | None = None, given: Object | None = None,
    ) -> Object:  # fmt: skip
        found = copy.deepcopy(found)
        metadata = found.setdefault("metadata", {})
        if kind.name == "core/Secret" and (clear := found.pop("stringData", None)):
            encoded = {name: base64.b64encode(value.encode()).decode() for name, value in clear.items()}
            found["data"] = {**(found.get("data") or {}), **encoded}
        asked = ((given or found).get("metadata") or {}).get("resourceVersion")
        if live is not None and asked and asked != live["metadata"]["resourceVersion"]:
            raise Refusal(409, "Conflict", f'{kind.plural} "{key.name}": the object has been modified')
        if kind.namespaced and self.find(Key("core/Namespace", "", key.namespace)) is None:
            raise Refusal(404, "NotFound", f'namespaces "{key.namespace}" not found')
        check(kind, key, live, found)
        found |= {"apiVersion": found.get("apiVersion") or _api_version(kind), "kind": kind.kind}
        metadata["name"] = key.name
        if kind.namespaced:
            metadata["namespace"] = key.namespace
        old: Object = live["metadata"] if live is not None else {
            "uid": str(uuid.uuid4()), "creationTimestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "generation": 1,
        }  # fmt: skip
        metadata |= {name: old[name] for name in _KEEP if name in old}
        if live is not None and live.get("spec") != found.get("spec"):
            metadata["generation"] = old.get("generation", 1) + 1
        if not kind.custom:
            found.pop("status", None)  # only controllers write it
            if live is not None and "status" in live:
                found["status"] = live["status"]
        self.fill(kind, found)
        if live is not None and _content(live) == _content(found):
            return live
        entry = {"manager": manager, "operation": "Update", "apiVersion": found["apiVersion"]}
        metadata["managedFields"] = [{**entry, "fieldsType": "FieldsV1", "fieldsV1": {}}]
        if dry:
            return found
        owned = owners if owners is not None else dict(self._owners.get(key, {}))
        if owners is None:
            own(live or {}, found, owned, manager)
        self._owners[key] = owned
        result = self._commit(key, found)
        if kind.kind == "Namespace" and live is None:
            self._furnish(key.name)
        return result

    def _commit(self, key: Key, found: Object) -> Object:
        self.revision += 1
        found["metadata"]["resourceVersion"] = str(self.revision)
        self._history.setdefault(key, []).append((self.revision, found))
        self._keys.setdefault(key.kind, set()).add(key)
        if key.kind == "apiextensions.k8s.io/CustomResourceDefinition":
            self._established.setdefault(key.name, time.monotonic() + self._establish)
        if self._folder is not None:
            owners = [[list(path), manager] for path, manager in self._owners.get(key, {}).items()]
            temporary = self._file(key).with_suffix(".new")
            temporary.write_text(json.dumps({"key": key, "object": found, "owners": owners}), encoding="utf-8")
            temporary.rename(self._file(key))
        return self._with_status(found)

    def _furnish(self, namespace: str) -> None:
        """What the controllers put into each new namespace."""
        account = {"metadata": {"name": "default"}}
        self.create(self.kind("", "serviceaccounts"), namespace, account, manager="controller")
        root = {"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": "the lab's authority"}}
        self.create(self.kind("", "configmaps"), namespace, root, manager="controller")

    def _with_status(self, found: Object) -> Object:
        if found["kind"] != "CustomResourceDefinition":
            return found
        served = str(time.monotonic() >= self._established.get(found["metadata"]["name"], 0))
        return {**found, "status": {"conditions": [{"type": "Established", "status": served}]}}

    def _defined(self, found: Object) -> Kind | None:
        spec = found["spec"]
        if time.monotonic() < self._established.get(found["metadata"]["name"], 0):
            return None
        served = (each for each in spec["versions"] if each.get("served"))
        versions = sorted(served, key=lambda each: not each["storage"])
        names = tuple(each["name"] for each in versions)
        return Kind(
            spec["group"], names, spec["names"]["kind"], spec["names"]["plural"], spec["scope"] == "Namespaced",
            custom=True,
        )  # fmt: skip

    def _load(self, row: Object) -> None:
        key, found = Key(*row["key"]), row["object"]
        self._history[key] = [(int(found["metadata"]["resourceVersion"]), found)]
        self._keys.setdefault(key.kind, set()).add(key)
        self._owners[key] = {tuple(path): manager for path, manager in row["owners"]}
        self.revision = max(self.revision, int(found["metadata"]["resourceVersion"]))
        self.compacted = self.revision

    def _file(self, key: Key) -> Path:
        assert self._folder is not None
        return self._folder / f"{hashlib.sha256('/'.join(key).encode()).hexdigest()}.json"


def _content(found: Object) -> Object:
    hidden = {"managedFields", "resourceVersion", "generation"}
    return {**found, "metadata": {name: value for name, value in found["metadata"].items() if name not in hidden}}


def _api_version(kind: Kind) -> str:
    return f"{kind.group}/{kind.versions[0]}" if kind.group else kind.versions[0]
