"""What a terraform or tofu on PATH says of a copy, where there is one: whether it reads it, and sees all of it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from include.recovery.errors import ToolFailed
from include.recovery.evidence.model import Check, Outcome
from include.recovery.processes import run_tool

PROGRAMS = ("terraform", "tofu")


def listed(state: Path, addresses: list[str]) -> Check | None:
    """Whether ``terraform state list`` prints just these addresses; None where no such program is installed.

    It needs no provider, unlike ``terraform show``.
    """
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        return None
    name = f"{Path(program).name} reads the state"
    env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(state.parent), "CHECKPOINT_DISABLE": "1"}
    expected = f"{len(addresses)} instances"
    try:
        said = run_tool([program, f"-chdir={state.parent}", "state", "list", f"-state={state}"], env=env).decode()
    except ToolFailed as error:
        return Check(name=name, outcome=Outcome.FAILED, expected=expected, found=str(error)[:500])
    found = sorted(said.split("\n")[:-1])
    same = found == sorted(addresses)
    outcome = Outcome.PASSED if same else Outcome.FAILED
    return Check(name=name, outcome=outcome, expected=expected, found=f"{len(found)} instances", output=said[:2000])
