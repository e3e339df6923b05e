"""The scratch server of a drill: started before, torn down whatever happened."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from include.recovery.evidence.words import listed, size
from include.recovery.postgres.scratch import Profile, ScratchServer, version_needed
from recovery_airflow.operators.step import RunFacts, StepOperator
from recovery_airflow.scratch import copy_folder, scratch_folder, scratch_root

if TYPE_CHECKING:
    from airflow.sdk import Context


class ScratchServerStartOperator(StepOperator):
    """Starts an empty PostgreSQL server that only its own unix socket reaches. Started twice, it is the same server.

    :param versions: of the servers whose backups will be restored; it is at least as new as the newest.
    :param profile: ``drill`` is tuned for speed and never for durability; ``stock`` is PostgreSQL's own defaults.
    """

    template_fields: Sequence[str] = ("system", "versions")

    def __init__(self, *, versions: Sequence[Any], profile: Profile = "drill", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.versions = versions
        self.profile = profile

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        folder = scratch_folder(run)
        server = ScratchServer.start(folder, self.profile, major=max(map(version_needed, self.versions)))
        told = f"PostgreSQL {server.version}, {self.profile} settings, runs in {folder}"
        return {"folder": str(folder), "sentence": told}


class ScratchRoomOperator(StepOperator):
    """Makes room for copies of whole clusters, each with a server of its own: what is in their folders goes away.

    :param sources: names of the sources.
    """

    def __init__(self, *, sources: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sources = tuple(sources)

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        for source in self.sources:
            ScratchServer.remove(copy_folder(run, source))
        root = scratch_root()
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        return {"sentence": f"{root} has {size(shutil.disk_usage(root).free)} free"}


class ScratchFolderOperator(StepOperator):
    """Makes the place where copies of sources go, each in a folder of its own, and tells how much room is there.

    :param sources: names of the sources.
    """

    def __init__(self, *, sources: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sources = tuple(sources)

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        root = scratch_root()
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        told = f"{root} has {size(shutil.disk_usage(root).free)} free for copies of {listed(self.sources)}"
        return {"sentence": told}


class ScratchServerStopOperator(StepOperator):
    """Stops the run's scratch servers and removes their folders; nothing to stop is a success.

    :param sources: with servers of their own; empty means the run's one server.
    """

    def __init__(self, *, sources: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sources = tuple(sources)

    def perform(self, run: RunFacts, context: Context) -> dict[str, Any]:
        wanted = [copy_folder(run, source) for source in self.sources] or [scratch_folder(run)]
        there = [folder for folder in wanted if folder.exists()]
        for folder in wanted:
            ScratchServer.remove(folder)  # also where the folder is gone: a process may have outlived it
        if not there:
            return {"sentence": "there was no scratch server"}
        return {"sentence": f"scratch server in {' and '.join(map(str, there))} is gone"}
