"""Which kinds, in which namespaces, a policy chooses; and what it does not, with the reasons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from include.recovery.catalog.model import LeftOut
from include.recovery.errors import SourceError
from include.recovery.kubernetes.client import Api
from include.recovery.kubernetes.discovery import ApiKind, kinds_of
from include.recovery.kubernetes.document import prefix
from include.recovery.kubernetes.made_anew import made_kind
from include.recovery.policy.source_kinds.kubernetes import KubernetesSource

NAMESPACE = "core/Namespace"


@dataclass(frozen=True)
class Target:
    """One list: the objects of a kind in a namespace, or in the cluster.

    :param only: the one object that is wanted of it; None for all.
    """

    kind: ApiKind
    namespace: str | None
    only: str | None = None

    @property
    def order(self) -> bytes:
        """By which lists are sorted, so that the names of all objects are in order."""
        return (prefix(self.kind.group, self.kind.kind, self.namespace) + (self.only or "")).encode()

    @property
    def words(self) -> str:
        """For messages."""
        one = f" {self.only}" if self.only else ""
        return f"{self.kind.name}{one} in {'the cluster' if self.namespace is None else f'namespace {self.namespace}'}"


@dataclass(frozen=True)
class Scope:
    """What is to be exported.

    :param kinds: all that the cluster serves, kept or not.
    :param left_out: kinds that are not kept, with the reasons.
    """

    namespaces: tuple[str, ...]
    targets: tuple[Target, ...]
    kinds: tuple[ApiKind, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def kept_kinds(self) -> frozenset[str]:
        """``<group>/<Kind>`` of every list."""
        return frozenset(target.kind.name for target in self.targets)


def excluded_object(source: KubernetesSource, kind: str, name: str) -> str | None:
    """Why the policy excludes an object; None when it does not."""
    for row in source.exclude:
        if fnmatchcase(kind, row.kind) and fnmatchcase(name, row.name):
            return row.why
    return None


def excluded_kind(source: KubernetesSource, kind: str) -> str | None:
    """Why the policy excludes a whole kind; None when it does not."""
    return next((row.why for row in source.exclude if row.name == "*" and fnmatchcase(kind, row.kind)), None)


def scope_of(api: Api, source: KubernetesSource) -> Scope:
    """What a policy chooses of a cluster, by asking the cluster what it has.

    :raises SourceError: when a chosen namespace is not there, or a group of the API does not answer.
    """

    left_out = [LeftOut(what=row.kind, why=row.why) for row in source.exclude if row.name == "*"]

    def whole_group(group: str) -> bool:
        if excluded_kind(source, f"{group}/*") is not None:
            return True
        made = made_kind(f"{group}/*")
        if made is not None:
            left_out.append(LeftOut(what=made.kind, why=f"the cluster makes it: {made.why}"))
        return made is not None

    kinds = tuple(kinds_of(api, excluded=whole_group))
    namespaces = tuple(sorted(_namespaces(api, source, kinds)))
    chosen: list[ApiKind] = []
    unchosen: list[str] = []
    for kind in kinds:
        if "list" not in kind.verbs or excluded_kind(source, kind.name) is not None:
            continue  # what cannot be listed is no stored thing, but a question such as a SubjectAccessReview
        made = made_kind(kind.name)
        if made is not None:
            left_out.append(LeftOut(what=kind.name, why=f"the cluster makes it: {made.why}"))
        elif "create" not in kind.verbs:
            left_out.append(LeftOut(what=kind.name, why="it can only be read: the cluster makes it"))
        elif kind.name == NAMESPACE:
            chosen.append(kind)
        else:
            patterns = source.kinds if kind.namespaced else source.cluster_kinds
            wanted = any(fnmatchcase(kind.name, pattern) for pattern in patterns)
            chosen += [kind] if wanted else []
            unchosen += [] if wanted else [kind.name]
    if unchosen:
        left_out.append(LeftOut(what=", ".join(sorted(unchosen)), why="kinds that the policy does not choose"))
    targets = sorted(_targets(chosen, namespaces), key=lambda target: target.order)
    return Scope(namespaces, tuple(targets), kinds, tuple(left_out))


def _targets(chosen: Iterable[ApiKind], namespaces: Iterable[str]) -> Iterator[Target]:
    for kind in chosen:
        if kind.name == NAMESPACE:
            yield from (Target(kind, None, only=name) for name in namespaces)
        elif kind.namespaced:
            yield from (Target(kind, namespace) for namespace in namespaces)
        else:
            yield Target(kind, None)


def _namespaces(api: Api, source: KubernetesSource, kinds: Iterable[ApiKind]) -> set[str]:
    """The chosen ones that are there.

    :raises SourceError: naming those that are not.
    """
    kind = next((kind for kind in kinds if kind.name == NAMESPACE), None)
    if kind is None:
        raise SourceError(f"{api.where} has no namespaces: is it the API server?")
    patterns = [name for name in source.namespaces if any(sign in name for sign in "*?[")]
    there: set[str] = set()
    if patterns:
        for page in api.pages(kind.path(), "the list of namespaces"):
            there |= {each["metadata"]["name"] for each in page.get("items") or ()}
    found = {name for name in there if any(fnmatchcase(name, pattern) for pattern in patterns)}
    missing = [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in there)]
    for name in (name for name in source.namespaces if name not in patterns):
        if api.find(kind.path(name=name), f"namespace {name}") is None:
            missing.append(name)
        else:
            found.add(name)
    if missing:
        raise SourceError(
            f"{api.where} has no namespace {', '.join(sorted(missing))}; correct 'namespaces' of the source in "
            "the policy"
        )
    return found
