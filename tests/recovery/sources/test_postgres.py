"""The verbs of a PostgreSQL source refuse what they are not for before they touch anything."""

from __future__ import annotations

import pytest

from include.recovery.errors import Refused
from include.recovery.sources import RunInfo
from include.recovery.sources.postgres import backup
from include.recovery.workspace import Workspace


@pytest.mark.parametrize("tier", ["weekly-full", "daily-incremental", "weekly-differential"])
def test_a_dump_is_not_taken_for_a_physical_tier(folder_workspace: Workspace, tier: str) -> None:
    """It would be listed as a backup of that tier, and its chain would have a hole."""
    system = folder_workspace.system("labdojo")
    run = RunInfo(run_id="test", started_by="a test")

    with pytest.raises(Refused, match="the tiers with method logical: daily-dump, monthly-archive"):
        backup(folder_workspace, system, system.source("main-db"), system.tier(tier), run=run)

    assert folder_workspace.catalog().backups("labdojo") == []
