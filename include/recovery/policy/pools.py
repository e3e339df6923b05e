"""Airflow pools by which load is bounded: one for each protected database and cluster, for restores, for copies.

``python -m include.recovery.policy.pools`` prints them as the JSON that ``airflow pools import`` takes.
"""

from __future__ import annotations

import json
import sys
from typing import TypedDict

from include.recovery.policy.files import PolicySet, load_folder, policies_folder

RESTORE_POOL = "restore"
REPLICATION_POOL = "replication"


class Pool(TypedDict):
    """One pool as ``airflow pools import`` reads it."""

    slots: int
    description: str
    include_deferred: bool


def pool_of(system: str, source: str) -> str:
    """The pool whose slots bound how many tasks read from one database at once."""
    return f"database__{system}__{source}"


def cluster_pool_of(system: str, source: str) -> str:
    """The pool with the one slot of a cluster's pgBackRest: a backup that meets another waits for its end."""
    return f"cluster__{system}__{source}"


def pools(policies: PolicySet) -> dict[str, Pool]:
    """Every pool that the DAGs of these policies name."""
    wanted = {
        RESTORE_POOL: _pool(2, "Restores and drills: each brings a scratch server of its own"),
        REPLICATION_POOL: _pool(2, "Copies between stores"),
    }
    for system in policies.systems.values():
        for source in system.sources:
            description = f"Tasks that read from {source.name} of {system.title}"
            wanted[pool_of(system.system, source.name)] = _pool(1, description)
            if source.physical is not None:
                description = f"pgBackRest backups of the cluster of {source.name} of {system.title}, one after another"
                wanted[cluster_pool_of(system.system, source.name)] = _pool(1, description)
    return wanted


def _pool(slots: int, description: str) -> Pool:
    return {"slots": slots, "description": description, "include_deferred": False}


if __name__ == "__main__":
    json.dump(pools(load_folder(policies_folder())), sys.stdout, indent=2)
