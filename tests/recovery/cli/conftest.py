"""The command line, run in this process against the folder workspace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from include.recovery.cli.app import app
from include.recovery.workspace import Workspace


@pytest.fixture
def lifeboat(folder_workspace: Workspace, tmp_path: Path) -> Callable[..., Result]:
    """Run a command; ``bare`` leaves the policies away."""

    def run(*arguments: str, bare: bool = False, typed: str | None = None) -> Result:
        where = ["--policies", str(tmp_path / ("none" if bare else "policies"))]
        where += ["--connections", str(tmp_path / "connections.json")]
        environ = {"COLUMNS": "200", "LIFEBOAT_CONNECTIONS": None, "PGHOST": None}
        return CliRunner().invoke(app, [*where, *arguments], env=environ, input=typed)

    return run
