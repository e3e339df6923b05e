"""Dapr: state stores that components name. The component is a resource; what it stores is some other source's data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from include.recovery.catalog.model import LeftOut
from include.recovery.errors import LifeboatError, PolicyError
from include.recovery.kubernetes.document import Object, kind_of

if TYPE_CHECKING:
    from include.recovery.connections import ConnectionSource
    from include.recovery.policy.models import ProtectedSystem
    from include.recovery.policy.source_kinds.kubernetes import KubernetesSource

COMPONENT = "dapr.io/Component"
KEEPERS: Mapping[str, str] = {
    "state.redis": "redis", "state.postgresql": "postgres", "state.postgres": "postgres", "state.mongodb": "mongodb",
}  # fmt: skip
"""Type of a component to the kind of source that can back its data up."""
_PORTS = {"redis": 6379, "postgres": 5432, "mongodb": 27017}
_HOST_FIELDS = frozenset({"redishost", "host"})
_ADDRESS_FIELDS = frozenset({"connectionstring", "url"})


def check_state_stores(system: ProtectedSystem, source: KubernetesSource) -> None:
    """:raises PolicyError: when ``state_stores`` names a source that the system does not have."""
    names = {each.name for each in system.sources}
    wrong = [row for row in source.state_stores if row.source not in names]
    if wrong:
        raise PolicyError([
            f"{system.system}/{source.name}: state store {row.component} is said to be kept by source {row.source!r}, "
            f"which the system does not have; it has {', '.join(sorted(names))}"
            for row in wrong
        ])  # fmt: skip


def state_store_note(
    component: Object, system: ProtectedSystem, source: KubernetesSource, connections: ConnectionSource
) -> LeftOut | None:
    """Which source keeps what a component stores, or that none does; None when it is no state store."""
    spec = component.get("spec") or {}
    kind = str(spec.get("type") or "")
    if kind_of(component) != COMPONENT or not kind.startswith("state."):
        return None
    name = f"{component['metadata'].get('namespace')}/{component['metadata']['name']}"
    fields = {str(each.get("name", "")).lower(): each for each in spec.get("metadata") or ()}
    actors = str((fields.get("actorstatestore") or {}).get("value", "")).lower() == "true"
    host = _host(fields, _PORTS.get(KEEPERS.get(kind, ""), 0))
    at = f" at {host[0]}:{host[1]}" if host else ""
    what = f"data of Dapr state store {name} ({kind}{at})" + (", actors' state included" if actors else "")
    keeper = next((row.source for row in source.state_stores if row.component == name), None)
    if keeper is not None:
        return LeftOut(what=what, why=f"source {keeper} of this system keeps it, as the policy says")
    wanted = KEEPERS.get(kind)
    if host is not None and wanted is not None:
        found = [each.name for each in system.sources if each.kind == wanted and host in _servers(each, connections)]
        if found:
            return LeftOut(what=what, why=f"source {found[0]} of this system keeps it: it is on that server")
    advice = f"a source of kind {wanted}" if wanted else f"what can back {kind} up"
    return LeftOut(
        what=what,
        why=f"NO SOURCE OF THIS SYSTEM IS KNOWN TO KEEP IT: add {advice}, and name it in state_stores of this source",
    )


def _host(fields: Mapping[str, Object], port: int) -> tuple[str, int] | None:
    for name, found in fields.items():
        value = found.get("value")
        if not isinstance(value, str):
            continue  # it is in a Secret
        if name in _HOST_FIELDS:
            host, _, given = value.partition(":")
            return host, int(given) if given.isdigit() else port
        if name in _ADDRESS_FIELDS:
            if "://" in value:
                parts = urlsplit(value)
                return (parts.hostname, _port_of(value) or port) if parts.hostname else None
            words = dict(re.findall(r"(\w+)\s*=\s*(\S+)", value))
            if "host" in words:
                return words["host"], int(words["port"]) if words.get("port", "").isdigit() else port
    return None


def _port_of(url: str) -> int | None:
    try:
        return urlsplit(url).port
    except ValueError:
        return None


def _servers(source: object, connections: ConnectionSource) -> Iterator[tuple[str, int]]:
    """Host and port of each connection that a source names."""
    both = getattr(source, "connections", None)
    names = [getattr(source, "connection", None), getattr(both, "backup", None)]
    for name in names:
        if not isinstance(name, str):
            continue
        try:
            found = connections(name)
        except LifeboatError:
            continue
        host = urlsplit(found.host).hostname if "://" in found.host else found.host
        yield host or "", found.port or _PORTS.get(str(getattr(source, "kind", "")), 0)
