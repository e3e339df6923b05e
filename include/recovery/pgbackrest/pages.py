"""Are the pages of a restored copy whole? ``pg_amcheck`` while it runs, ``pg_checksums`` when it is shut down."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from include.recovery.errors import ToolFailed
from include.recovery.postgres import commands
from include.recovery.postgres.server import PostgresServer
from include.recovery.postgres.tools import Tools
from include.recovery.processes import Crew, run_tool

_NO_CHECKSUMS = "data checksums are not enabled"
_CORRUPT = 2
"""pg_amcheck's exit code for damage; 1 means that it could not look."""
_SHOWN = 3
_KEPT_BYTES = 64 * 1024


def check_structure(
    tools: Tools, server: PostgresServer, *, jobs: int = 2, stop: threading.Event | None = None
) -> tuple[str, ...]:
    """Tables and B-tree indexes of all databases: is every page well formed, is every row in every index?

    The extension ``amcheck`` is installed where it is missing: the copy is ours.

    :param server: the copy, as its superuser, running.
    :return: a sentence for each thing that is wrong.
    :raises ToolFailed: when pg_amcheck could not look at all.
    """
    with (
        Crew(stop or threading.Event()) as crew,
        crew.child(commands.check_structure(tools, jobs=jobs), env=server.environment(), stdout="pipe") as child,
    ):
        # What it finds is on stdout, whose end would be an error by itself: the exit code tells that it found it.
        found = _read(child.stdout.fileno())
        if child.wait() == _CORRUPT:
            said = _first_lines(found or child.stderr)
            return (f"pg_amcheck found damage: {said}; restore an older backup and compare",)
        child.check()
    return ()


def check_checksums(tools: Tools, data: Path, *, stop: threading.Event | None = None) -> tuple[str, ...] | None:
    """The checksum of every page of a cluster that is shut down.

    :return: a sentence for each thing that is wrong; None when the cluster keeps no checksums, so nothing was checked.
    :raises ToolFailed: when pg_checksums could not look at all.
    """
    try:
        run_tool(commands.check_checksums(tools, str(data)), env={"LC_ALL": "C.UTF-8"}, stop=stop)
    except ToolFailed as error:
        if _NO_CHECKSUMS in error.stderr:
            return None
        if "checksum verification failed" not in error.stderr:
            raise
        return (f"pg_checksums found damaged pages: {_first_lines(error.stderr)}; restore an older backup and compare",)
    return ()


def _read(pipe: int) -> str:
    """Everything until the end, of which only the beginning is kept: a ruined table has a line for each row."""
    kept = bytearray()
    while chunk := os.read(pipe, 64 * 1024):
        kept += chunk[: max(_KEPT_BYTES - len(kept), 0)]
    return kept.decode("utf-8", "replace")


def _first_lines(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    more = f" and {len(lines) - _SHOWN} lines more" if len(lines) > _SHOWN else ""
    return " ".join(lines[:_SHOWN])[:400] + more
