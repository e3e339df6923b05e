"""The database instances of every region of Amazon RDS that a policy reaches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from include.recovery.coverage.model import Found, Unseen
from include.recovery.errors import LifeboatError
from include.recovery.policy.source_kinds.rds import RdsRegion, RdsSource
from include.recovery.rds.region import Region
from include.recovery.rds.scratch import is_scratch

if TYPE_CHECKING:
    from include.recovery.workspace import Workspace

KIND = "instance"


class Instances:
    """See ``port.Discoverer``."""

    name = "instances"

    def discover(self, workspace: Workspace) -> Iterator[Found | Unseen]:
        """Each region once for each connection to it: two connections may be to two accounts."""
        covered: dict[tuple[str, str, str], set[str]] = {}
        regions: dict[tuple[str, str], RdsRegion] = {}
        for system in workspace.policies.systems.values():
            for source in system.sources:
                if isinstance(source, RdsSource):
                    home = source.home.region, source.home.connection
                    covered.setdefault((*home, source.instance), set()).add(f"{system.system}/{source.name}")
                    for each in (source.home, source.second):
                        regions.setdefault((each.region, each.connection), each)
        for (name, connection), definition in regions.items():
            where = f"RDS {name} ({connection})"
            try:
                for found in Region(definition, workspace.connections(connection)).instances():
                    yield Found(
                        kind=KIND, where=where, name=found.identifier,
                        covered_by=tuple(sorted(covered.get((name, connection, found.identifier), ()))),
                        on_purpose="a drill's scratch instance" if is_scratch(found) else "",
                    )  # fmt: skip
            except LifeboatError as error:
                yield Unseen(kind=KIND, where=where, why=str(error))
