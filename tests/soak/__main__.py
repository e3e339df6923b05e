"""Is every second of the window restorable? Ten random ones in a row, each checked by the heartbeat. Takes its time.

    make soak                                            the demo's systems, as they are now
    make soak ARGS="--system labdojo --store offsite"    one of them, from the other region
    make soak ARGS="--own 20"                            a cluster of its own, written to for 20 minutes first
    make soak ARGS="--at-least 72h"                      red when the window is not that long yet

Where ``LIFEBOAT_CONNECTIONS`` is set, the systems are those of that file instead of the demo's: run it so on a host
with PostgreSQL and pgBackRest that may read the stores. Nothing but a scratch folder and its markers is written; no
live server is touched. Ends with 0 when every second was proven, else with 3.
"""

from __future__ import annotations

import argparse
import os
import random
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from include.lab.lab import PGBACKREST, PGBACKREST_VARIABLE, Lab
from include.lab.processes import Registry
from include.recovery.errors import LifeboatError
from include.recovery.pgbackrest.configuration import FolderRepository
from include.recovery.pgbackrest.marker import marker_of
from include.recovery.pgbackrest.stanza import open_reading
from include.recovery.pgbackrest.window_proof import Place, SecondProof, WindowProof, prove_window
from include.recovery.policy.durations import parse_duration
from include.recovery.postgres.prepare import prepare
from include.recovery.postgres.tools import major_of
from include.recovery.workspace import Workspace
from tests.integration.pgbackrest.conftest import beating, make_world

_BEAT = timedelta(seconds=1)
_BACKUPS = 4


def main() -> None:
    """Prove, tell, and end with the verdict."""
    options = _options()
    failed = False
    with ExitStack() as ends:
        places = _own(options.own, ends) if options.own else _protected(options.system, options.store, ends)
        for name, place in places:
            failed |= not _prove(name, place, options)
    sys.exit(3 if failed else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=int, default=10, help="how many random seconds (default 10)")
    parser.add_argument("--system", nargs="*", default=[], help="only these; default every one with a WAL archive")
    parser.add_argument("--store", default="primary", help="whose repository (default primary)")
    parser.add_argument("--own", type=float, metavar="MINUTES", help="a cluster of its own, written to for so long")
    parser.add_argument("--at-least", type=parse_duration, default=timedelta(), help="how long the window must be: 72h")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32), help="chooses the same seconds again")
    return parser.parse_args()


def _prove(name: str, place: Place, options: argparse.Namespace) -> bool:
    _say(f"{name}: {options.seconds} random seconds (--seed {options.seed})")
    began = time.monotonic()
    try:
        found = prove_window(place, options.seconds, chance=random.Random(options.seed), tell=_tell)  # noqa: S311
    except LifeboatError as error:
        _say(f"{name}: FAILED: {error}")
        return False
    problems = (*found.problems, *_too_short(found, options.at_least))
    for problem in problems:
        _say(f"{name}: FAILED: {problem}")
    if found.window is not None:
        window, verdict = found.window, "NOT proven" if problems else "proven"
        ends = f"{window.first:%Y-%m-%d %H:%M:%S} to {window.last:%Y-%m-%d %H:%M:%S} UTC"
        _say(f"{name}: {verdict}, {ends} ({window.last - window.first}), in {time.monotonic() - began:.0f} s")
        if window.short:
            _say(f"{name}: {window.short}")
    return not problems


def _tell(proof: SecondProof) -> None:
    loss = "no heartbeat" if proof.loss_seconds is None else f"heartbeat {proof.loss_seconds:.1f} s before"
    failed = f"; FAILED: {proof.problem}" if proof.problem else ""
    _say(f"  {proof.second:%Y-%m-%d %H:%M:%S} from {proof.label or 'nothing'}: {loss}, {proof.seconds:.1f} s{failed}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _too_short(found: WindowProof, wanted: timedelta) -> Iterator[str]:
    if found.window is not None and found.window.last - found.window.first < wanted:
        yield f"the window is {found.window.last - found.window.first} long, and {wanted} are wanted"


def _protected(systems: list[str], store: str, ends: ExitStack) -> Iterator[tuple[str, Place]]:
    """The sources with a WAL archive, of the connections in the environment or of the demo."""
    if "LIFEBOAT_CONNECTIONS" not in os.environ:
        lab = Lab.from_environment()
        os.environ["LIFEBOAT_CONNECTIONS"] = str(lab.connections)
        os.environ[PGBACKREST_VARIABLE] = str(lab.directory / PGBACKREST)
    workspace = Workspace.from_environment()
    for system in map(workspace.system, systems or workspace.policies.systems):
        for source in system.sources:
            if source.wal is None or source.physical is None or store not in system.repository_stores(source):
                continue
            stanza = open_reading(workspace, system, source, store)
            version = stanza.cluster.version if stanza.cluster else workspace.catalog(store).newest(
                system.system, source.name, "pgbackrest"
            ).manifest.server_version  # fmt: skip
            folder = Path(tempfile.mkdtemp(prefix="lb-soak-"))
            ends.callback(shutil.rmtree, folder, ignore_errors=True)
            yield f"{system.system}/{source.name} from {store}", Place(
                stanza.configuration, stanza.number(store), folder / "copy", source.database, source.wal.keep,
                source.physical.heartbeat, major_of(version), workspace.cluster(source).user, stanza.segment_bytes,
                marker_of(workspace, stanza, store, "make soak"),
            )  # fmt: skip


def _own(minutes: float, ends: ExitStack) -> Iterator[tuple[str, Place]]:
    """A cluster with a repository in a folder: written to, beaten, and backed up now and then."""
    folder = Path(tempfile.mkdtemp(prefix="lb-soak-"))
    ends.callback(shutil.rmtree, folder, ignore_errors=True)
    registry = Registry(folder / "run", folder / "logs")
    world = make_world(registry, [FolderRepository(1, str(folder / "repository"), cipher_pass="a pass")])
    ends.enter_context(world.ends)
    prepare(world.server, backup_password="b", restore_password="r")
    with beating(world.server, _BEAT.total_seconds()):
        for number in range(_BACKUPS):
            world.back_up("full" if number == 0 else "incr")
            _say(f"own cluster: backup {number + 1} of {_BACKUPS}, then {60 * minutes / _BACKUPS:.0f} s of writing")
            end = time.monotonic() + 60 * minutes / _BACKUPS
            while time.monotonic() < end:
                world.note("x" * 2000)
                time.sleep(0.02)
            world.archive_all()
    yield "own cluster", Place(
        world.configuration, 1, folder / "copy", "postgres", timedelta(hours=72), _BEAT, 15, "postgres"
    )


if __name__ == "__main__":
    main()
