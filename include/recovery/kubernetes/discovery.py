"""Which kinds a cluster has, and where each is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

from include.recovery.errors import InsufficientRights, LifeboatError, SourceError
from include.recovery.kubernetes.client import Api
from include.recovery.kubernetes.document import CORE, Object


@dataclass(frozen=True)
class ApiKind:
    """A kind as a cluster serves it.

    :param plural: as paths name it.
    :param verbs: what can be done with it: ``list``, ``create``, ``patch`` ...
    """

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: frozenset[str]

    @property
    def name(self) -> str:
        """``<group>/<Kind>``."""
        return f"{self.group}/{self.kind}"

    @property
    def api_version(self) -> str:
        """As objects say it."""
        return self.version if self.group == CORE else f"{self.group}/{self.version}"

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """Of the kind's list, or of one object."""
        return resource_path(self.api_version, self.plural, namespace, name)


def resource_path(api_version: str, plural: str, namespace: str | None = None, name: str | None = None) -> str:
    """Where a list or an object is found."""
    start = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    scope = f"/namespaces/{quote(namespace, safe='')}" if namespace is not None else ""
    return f"{start}{scope}/{plural}" + (f"/{quote(name, safe='')}" if name is not None else "")


def server_version(api: Api) -> str:
    """Of the API server, such as ``v1.32.4``."""
    return str(api.get("/version", "the server's version").get("gitVersion") or "unknown")


def kinds_of(api: Api, *, excluded: Callable[[str], bool] = lambda _: False) -> Iterator[ApiKind]:
    """Every kind that the cluster serves, each once, in the version that the cluster prefers.

    :param excluded: whether a whole group is left out, so that it need not answer.
    :raises SourceError: when a group does not answer: what it has, nobody knows.
    """
    for group, versions in _groups(api):
        if excluded(group):
            continue
        seen: set[str] = set()
        for version in versions:
            found = list(_in_version(api, group, version))
            yield from (kind for kind in found if kind.kind not in seen)
            seen |= {kind.kind for kind in found}


def served(api: Api, api_version: str) -> list[ApiKind]:
    """The kinds of one version of a group; empty when the cluster has no such version."""
    group, _, version = api_version.rpartition("/")
    listed = api.find(f"/apis/{api_version}" if group else f"/api/{version}", f"the kinds of {api_version}")
    return [] if listed is None else list(_kinds(listed, group or CORE, version))


def _groups(api: Api) -> Iterator[tuple[str, list[str]]]:
    core = api.get("/api", "the versions of the API").get("versions") or []
    yield CORE, [str(version) for version in core]
    for group in api.get("/apis", "the groups of the API").get("groups") or []:
        preferred = (group.get("preferredVersion") or {}).get("version")
        versions = [str(each["version"]) for each in group.get("versions") or ()]
        yield str(group["name"]), sorted(versions, key=lambda version: version != preferred)


def _in_version(api: Api, group: str, version: str) -> Iterator[ApiKind]:
    api_version = version if group == CORE else f"{group}/{version}"
    path = f"/api/{version}" if group == CORE else f"/apis/{api_version}"
    try:
        listed = api.get(path, f"the kinds of {api_version}")
    except InsufficientRights:
        raise
    except LifeboatError as error:
        again = type(error) if not isinstance(error, SourceError) else SourceError
        raise again(
            f"{api.where}: {api_version} does not say which kinds it has ({error}); repair it (see its APIService), or "
            f"exclude {group}/* in the policy with the reason"
        ) from error
    yield from _kinds(listed, group, version)


def _kinds(listed: Object, group: str, version: str) -> Iterator[ApiKind]:
    for found in listed.get("resources") or ():
        if "/" not in found["name"]:  # a part of an object, such as its status or scale, is no object
            verbs = frozenset(found.get("verbs") or ())
            yield ApiKind(group, version, found["kind"], found["name"], bool(found.get("namespaced")), verbs)
