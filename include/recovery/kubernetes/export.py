"""The objects of a source in order, cleaned.

One list, that is one kind in one namespace, is held in memory at a time, as cleaned JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from include.recovery.errors import SourceError
from include.recovery.kubernetes.cleaning import cleaned
from include.recovery.kubernetes.client import Answered, Api, Expired
from include.recovery.kubernetes.document import Object, canonical, name_of
from include.recovery.kubernetes.made_anew import Known, made_object
from include.recovery.kubernetes.report import Report
from include.recovery.kubernetes.scope import Scope, Target, excluded_object
from include.recovery.policy.source_kinds.kubernetes import KubernetesSource

Found = TypeVar("Found")
_TRIES = 4
_ADDRESSES = frozenset({"core/Endpoints", "discovery.k8s.io/EndpointSlice"})


class Exported(NamedTuple):
    """One object.

    :param content: canonical JSON of the cleaned object.
    """

    name: str
    content: bytes


@dataclass
class _Listed:
    """What one list gave.

    :param made: names of objects that the cluster makes by itself, and why; ``excluded`` likewise, by the policy.
    """

    revision: str = ""
    kept: list[Exported] = field(default_factory=list)
    made: list[tuple[str, str]] = field(default_factory=list)
    excluded: list[tuple[str, str]] = field(default_factory=list)


class Export:
    """Iterate over it once; what was seen and left out is then in ``report``."""

    def __init__(self, api: Api, source: KubernetesSource, scope: Scope) -> None:
        self._api, self._source, self._scope = api, source, scope
        self.report = Report(namespaces=scope.namespaces)
        self._selecting: dict[str, frozenset[str]] = {}

    def __iter__(self) -> Iterator[Exported]:
        """Each object, in the order of the bytes of their names.

        :raises InsufficientRights: when a list is refused. Nothing is left out for lack of rights.
        :raises SourceError: when a list cannot be had for another reason.
        """
        for target in self._scope.targets:
            yield from self._list(target)

    def _list(self, target: Target) -> list[Exported]:
        known = Known(
            kept_kinds=self._scope.kept_kinds,
            excluded=lambda kind, name: excluded_object(self._source, kind, name) is not None,
            selecting=self._selectors(target),
        )
        listed = self._whole(target, lambda: self._read(target, known))
        for name, why in listed.made:
            self.report.made_anew(target.kind.name, name, why)
        for name, why in listed.excluded:
            self.report.excluded(name, why)
        kept = sorted(listed.kept, key=lambda each: each.name.encode("utf-8", "surrogateescape"))
        kind = target.kind
        self.report.listed(kind.api_version, kind.kind, target.namespace, listed.revision, len(kept))
        return kept

    def _read(self, target: Target, known: Known) -> _Listed:
        """One list, cleaned page by page: what is held of it is no more than what is kept."""
        listed = _Listed()
        for listed.revision, found in self._pages(target):
            for each in found:
                name = name_of(each)
                made = made_object(each, known)
                why = excluded_object(self._source, target.kind.name, each["metadata"]["name"])
                if made is not None:
                    listed.made.append((name, made.why))
                elif why is not None:
                    listed.excluded.append((name, why))
                else:
                    listed.kept.append(Exported(name, canonical(cleaned(each))))
        return listed

    def _whole(self, target: Target, read: Callable[[], Found]) -> Found:
        """A list of one moment; begun again when the server no longer knows that moment."""
        for _ in range(_TRIES):
            try:
                return read()
            except Expired:
                continue
            except Answered as answered:
                raise SourceError(
                    f"{self._api.where} says that it has {target.kind.name} and does not list it ({answered.status} "
                    f"{answered.reason}): repair that, or exclude it in the policy with the reason"
                ) from answered
        raise SourceError(
            f"{self._api.where}: the list of {target.words} lost its moment {_TRIES} times: the server forgets faster "
            "than it answers; see its load and its compaction interval"
        )

    def _pages(self, target: Target) -> Iterator[tuple[str, Iterator[Object]]]:
        """The moment (none for one object by name) and the objects of each page."""
        if target.only is not None:
            found = self._api.find(target.kind.path(name=target.only), target.words)
            if found is None:
                raise SourceError(f"{self._api.where}: {target.words} was removed while it was being backed up")
            yield "", iter([_said(found, target)])
            return
        for page in self._api.pages(target.kind.path(target.namespace), target.words):
            revision = str(page["metadata"].get("resourceVersion") or "")
            yield revision, (_said(each, target) for each in page.get("items") or ())

    def _selectors(self, target: Target) -> frozenset[str]:
        """Services of the target's namespace whose addresses a controller writes; asked for where that matters."""
        if target.kind.name not in _ADDRESSES or target.namespace is None:
            return frozenset()
        service = next((kind for kind in self._scope.kinds if kind.name == "core/Service"), None)
        if target.namespace not in self._selecting and service is not None:
            services = Target(service, target.namespace)
            self._selecting[target.namespace] = self._whole(
                services, lambda: frozenset(each for _, found in self._pages(services) for each in _selected(found))
            )
        return self._selecting.get(target.namespace, frozenset())


def _selected(services: Iterable[Object]) -> Iterator[str]:
    for service in services:
        if (service.get("spec") or {}).get("selector"):
            yield f"{service['metadata'].get('namespace')}/{service['metadata']['name']}"


def _said(found: Object, target: Target) -> Object:
    """The object with its kind: items of lists need not say it."""
    return {**found, "apiVersion": target.kind.api_version, "kind": target.kind.kind}
