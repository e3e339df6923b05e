"""What an export saw and left out: the last file of the tar, so that a tree of files explains itself."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from include.recovery.catalog.model import LeftOut
from include.recovery.errors import BackupCorrupt
from include.recovery.fingerprint.model import NotCompared

FILE = "export.json"
_REFERENCED = frozenset({"core/Secret", "core/ConfigMap", "core/PersistentVolumeClaim", "core/ServiceAccount"})


@dataclass
class Report:
    """What became of everything that was listed.

    :param lists: one entry for each: kind, API version, namespace, the moment (``resourceVersion``; empty for an object
        that was read by its name), objects kept.
    :param left_out: objects by name that others may need, with the reasons.
    """

    server: str = ""
    namespaces: tuple[str, ...] = ()
    lists: list[dict[str, Any]] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    _made: Counter[tuple[str, str]] = field(default_factory=Counter)
    _excluded: list[LeftOut] = field(default_factory=list)

    def listed(self, api_version: str, kind: str, namespace: str | None, revision: str, kept: int) -> None:
        """Enter one list."""
        self.lists.append({
            "apiVersion": api_version, "kind": kind, "namespace": namespace, "resourceVersion": revision,
            "objects": kept,
        })  # fmt: skip

    def made_anew(self, kind: str, name: str, why: str) -> None:
        """Enter an object that the cluster makes by itself."""
        self._made[kind, why] += 1
        if kind in _REFERENCED:
            self.left_out[name] = why

    def excluded(self, name: str, why: str) -> None:
        """Enter an object that the policy excludes by name."""
        self._excluded.append(LeftOut(what=name, why=why))
        self.left_out[name] = why

    @property
    def told(self) -> list[LeftOut]:
        """All that was left out, for the manifest: by name what the policy excludes, in numbers what is made anew."""
        made = [
            LeftOut(what=f"{count} x {kind}", why=f"the cluster makes them: {why}")
            for (kind, why), count in sorted(self._made.items())
        ]
        return self._excluded + made

    @property
    def moment(self) -> str | None:
        """The position in the cluster's log at which the first list was taken."""
        return next(iter(self._moments), None)

    @property
    def _moments(self) -> list[str]:
        return [str(each["resourceVersion"]) for each in self.lists if each["resourceVersion"]]

    @property
    def not_compared(self) -> tuple[NotCompared, ...]:
        """Says that the lists are of several moments, when they are."""
        moments = self._moments
        if len(set(moments)) < 2:
            return ()
        why = (
            f"the {len(moments)} lists are each of one moment, and were taken one after the other, from "
            f"resourceVersion {moments[0]} to {moments[-1]}: what changed in between is as its own list shows it"
        )
        return (NotCompared(object="one moment for all kinds", why=why),)

    def text(self) -> bytes:
        """The file."""
        content = {
            "server": self.server, "namespaces": list(self.namespaces), "lists": self.lists,
            "left_out": [{"object": name, "why": why} for name, why in sorted(self.left_out.items())],
        }  # fmt: skip
        return json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"


def left_out_in(text: bytes, where: str) -> dict[str, str]:
    """Names of objects that an export left out, and why.

    :raises BackupCorrupt: when it is no report.
    """
    try:
        return {str(row["object"]): str(row["why"]) for row in json.loads(text)["left_out"]}
    except (ValueError, KeyError, TypeError) as error:
        raise BackupCorrupt(f"{where} is no report of an export") from error
