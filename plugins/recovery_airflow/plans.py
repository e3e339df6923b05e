"""The plan of a run, as it is kept in the store. XCom carries its digest only: people may edit XCom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from include.recovery.errors import Refused

if TYPE_CHECKING:
    from include.recovery.runbook.folder import RunFolder
    from include.recovery.runbook.plan import RecoveryPlan


def read_plan(folder: RunFolder, reference: Mapping[str, str]) -> RecoveryPlan:
    """The plan in force, which must be the one that the planning task made.

    :param reference: what the planning task returned.
    :raises Refused: when it is another one.
    """
    plan = folder.plan()
    if plan.digest != reference["digest"]:
        raise Refused(
            f"{folder.system}: the plan in the store ({plan.digest[:12]}) is not the one that this run made "
            f"({reference['digest'][:12]}); clear the planning task, and have the new plan approved"
        )
    return plan
