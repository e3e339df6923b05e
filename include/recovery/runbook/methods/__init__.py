"""How a source is recovered: one module for each method, all with the same steps (``port.RecoveryMethod``).

    logical         a dump, restored beside the live database
    point_in_time   the cluster recovered to a target on a scratch server, its database copied beside the live one

The scenario decides which. What all methods share (approvals, isolation, safety copy, interlock, swap) is not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import cast

from include.recovery.errors import Refused
from include.recovery.runbook.methods.port import RecoveryMethod
from include.recovery.runbook.plan import Method

OF_SCENARIO: Mapping[str, Method] = {"point_in_time": "point_in_time", "whole_cluster": "whole_cluster"}
"""The scenarios that do not restore a dump."""


def method_for(scenario: str) -> RecoveryMethod:
    """The method of a scenario."""
    return method_of(OF_SCENARIO.get(scenario, "logical"))


def method_of(name: Method) -> RecoveryMethod:
    """The method that a plan names for a source.

    :raises Refused: when this Lifeboat does not know it.
    """
    try:
        module = import_module(f"include.recovery.runbook.methods.{name}")
    except ModuleNotFoundError:
        raise Refused(f"this Lifeboat cannot recover by the method {name}; use another scenario, or update") from None
    return cast("RecoveryMethod", module.METHOD)
