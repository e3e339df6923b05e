"""A backup beside the cluster as it is now, field by field."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from include.recovery.content.port import EVERYTHING, Selection, Site, Stored
from include.recovery.kubernetes.archive import is_object, members, wanted
from include.recovery.kubernetes.client import Api
from include.recovery.kubernetes.difference import Differ, FieldChange
from include.recovery.kubernetes.document import item_of, name_of, parsed
from include.recovery.kubernetes.export import Export
from include.recovery.kubernetes.scope import scope_of
from include.recovery.policy.source_kinds.kubernetes import KubernetesSource


class ObjectChange(NamedTuple):
    """An object that is not as the backup holds it.

    :param how: what putting back would do with it: ``create``, ``change``, or ``leave`` what the backup does not hold.
    :param fields: ``before`` is what is there now, ``after`` what the backup holds; none for ``leave``.
    """

    name: str
    how: str
    fields: tuple[FieldChange, ...] = ()

    @property
    def lines(self) -> list[str]:
        """For people."""
        return [f"{self.how} {self.name}", *(f"    {change.line}" for change in self.fields)]


def fields_changed(
    site: Site[KubernetesSource], stored: Stored, only: Selection = EVERYTHING
) -> Iterator[ObjectChange]:
    """What putting back would change. Nothing is touched.

    Values of Secrets, and others whose names call them secret, show as digests that mean nothing after this call. What
    differs in the cluster is held in memory.
    """
    held = {item.name: item.digest for item in stored.items() if only.wants(item.name)}
    now: dict[str, bytes] = {}
    same: set[str] = set()
    with Api(site.connection(site.source.connection), site.stop) as api:
        for each in Export(api, site.source, scope_of(api, site.source)):
            if not only.wants(each.name):
                continue
            if held.get(each.name) == item_of(each.name, each.content).digest:
                same.add(each.name)
            else:
                now[each.name] = each.content
    differ = Differ()
    for path, content in members(stored):
        if is_object(path) and wanted(path, content, only):
            found = parsed(content, path)
            name = name_of(found)
            if name in now:
                yield ObjectChange(name, "change", tuple(differ.fields(json.loads(now[name]), found)))
            elif name not in same:
                yield ObjectChange(name, "create", tuple(differ.fields({}, found)))
    for name in sorted(now):
        if name not in held:
            yield ObjectChange(name, "leave")
