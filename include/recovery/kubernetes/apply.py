"""One object applied, so that it is in the end what the backup holds, and no field more."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

from include.recovery.errors import InsufficientRights, SourceError
from include.recovery.kubernetes.cleaning import cleaned
from include.recovery.kubernetes.client import APPLY, MERGE, Answered, Api
from include.recovery.kubernetes.difference import Differ
from include.recovery.kubernetes.discovery import ApiKind, served
from include.recovery.kubernetes.document import Object, canonical, group_of, kind_of, name_of, same

_ESTABLISHED_SECONDS = 60
_CONFLICTS = 3
_SECRET = "core/Secret"  # noqa: S105 - a kind's name


class KindUnknown(SourceError):
    """The cluster does not serve an object's kind in its version."""


@dataclass(frozen=True)
class Placed:
    """An object with its place in the cluster.

    :param path: where the cluster serves it.
    """

    wanted: Object
    path: str

    @property
    def name(self) -> str:
        """In backups."""
        return name_of(self.wanted)


class Applier:
    """Applies objects to one cluster."""

    def __init__(self, api: Api, stop: threading.Event) -> None:
        self._api, self._stop = api, stop
        self._kinds: dict[str, list[ApiKind]] = {}

    def place(self, wanted: Object) -> Placed:
        """Where an object belongs.

        :raises KindUnknown: when the cluster does not know its kind, or not in this version.
        """
        api_version, metadata = wanted["apiVersion"], wanted["metadata"]
        if api_version not in self._kinds:
            self._kinds[api_version] = served(self._api, api_version)
        for kind in self._kinds[api_version]:
            if kind.kind == wanted["kind"]:
                return Placed(wanted, kind.path(metadata.get("namespace"), metadata["name"]))
        raise KindUnknown(
            f"{name_of(wanted)}: {self._api.where} does not serve {wanted['kind']} of {api_version}; a custom kind "
            f"needs its CustomResourceDefinition, or {group_of(api_version)} is there in another version only"
        )

    def forget_kinds(self) -> None:
        """Ask anew what the cluster serves."""
        self._kinds.clear()

    def live(self, placed: Placed) -> Object | None:
        """The object as it is now, with what the cluster wrote into it."""
        return self._api.find(placed.path, placed.name)

    def try_out(self, placed: Placed, live: Object | None) -> str | None:
        """Have the server check all that applying would do, without doing it.

        :return: why it refuses, without any value of a Secret; None when it would accept.
        """
        if live is not None and live["metadata"].get("deletionTimestamp"):
            return f"{placed.name}: it is being deleted there; put back again when it is gone"
        try:
            answer = self._apply(placed, dry_run=True)
            if live is not None and not _equal(answer, placed.wanted):
                self._merge(placed, live, dry_run=True)
        except (Answered, InsufficientRights) as error:
            return refusal(placed, error)
        return None

    def apply(self, placed: Placed) -> list[str]:
        """Apply it; fields that the backup does not have are taken away.

        :return: fields that the server has made another than the backup's, a line each; secrets hidden.
        :raises Answered: when the server refuses now.
        """
        answer = self._apply(placed, dry_run=False)
        for _ in range(_CONFLICTS):
            if _equal(answer, placed.wanted):
                return []
            try:
                answer = self._merge(placed, answer, dry_run=False)
                break
            except Answered as answered:
                if answered.status != 409:
                    raise
                answer = self._api.get(placed.path, placed.name)
        return [change.line for change in Differ().fields(placed.wanted, _cleaned_as(answer, placed.wanted))]

    def wait_until_established(self, placed: Placed) -> None:
        """Return when the cluster serves the kind that a CustomResourceDefinition defines.

        :raises SourceError: when it does not within a minute.
        """
        until = time.monotonic() + _ESTABLISHED_SECONDS
        while time.monotonic() < until and not self._stop.is_set():
            found = self._api.get(placed.path, placed.name)
            conditions = (found.get("status") or {}).get("conditions") or ()
            if any(each.get("type") == "Established" and each.get("status") == "True" for each in conditions):
                spec = found["spec"]
                versions = [f"{spec['group']}/{each['name']}" for each in spec["versions"] if each.get("served")]
                kinds = [kind.kind for version in versions for kind in served(self._api, version)]
                if spec["names"]["kind"] in kinds:
                    return
            self._stop.wait(0.2)
        raise SourceError(
            f"{placed.name} was applied, and {self._api.where} does not serve its kind after {_ESTABLISHED_SECONDS} s; "
            "see its status there, and put back again"
        )

    def _apply(self, placed: Placed, *, dry_run: bool) -> Object:
        return self._api.patch(placed.path, placed.name, placed.wanted, APPLY, dry_run=dry_run)

    def _merge(self, placed: Placed, live: Object, *, dry_run: bool) -> Object:
        """Change what still differs. It holds for the object as it was read: one that changed since is read again."""
        change = merge_patch(_cleaned_as(live, placed.wanted), placed.wanted)
        if not dry_run:
            change.setdefault("metadata", {})["resourceVersion"] = live["metadata"].get("resourceVersion")
        return self._api.patch(placed.path, placed.name, change, MERGE, dry_run=dry_run)


def merge_patch(current: Object, wanted: Object) -> Object:
    """The JSON merge patch (RFC 7386) that makes one object the other."""
    change: dict[str, Any] = {key: None for key in current if key not in wanted}
    for key, value in wanted.items():
        before = current.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            if inner := merge_patch(before, value):
                change[key] = inner
        elif key not in current or not same(before, value):
            change[key] = value
    return change


def refusal(placed: Placed, error: Answered | InsufficientRights) -> str:
    """What a server said against an object, a clause. Of Secrets only the fields are told: it may quote values."""
    if isinstance(error, InsufficientRights):
        return f"{placed.name}: {error}"
    if kind_of(placed.wanted) == _SECRET:
        return f"{placed.name}: {error.status} {error.reason} ({', '.join(error.fields) or 'no field named'})"
    return f"{placed.name}: {error.status} {error.reason}: {error.said}"


def _equal(answer: Object, wanted: Object) -> bool:
    return canonical(_cleaned_as(answer, wanted)) == canonical(wanted)


def _cleaned_as(answer: Object, wanted: Object) -> Object:
    return cleaned({**answer, "apiVersion": wanted["apiVersion"], "kind": wanted["kind"]})
