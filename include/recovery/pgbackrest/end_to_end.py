"""Does WAL reach every repository now, and has a store's archive all that the window promises?"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from include.recovery.errors import BackupCorrupt, SourceError
from include.recovery.pgbackrest import commands
from include.recovery.pgbackrest.archiver import ask_archiver, judge_archiver
from include.recovery.pgbackrest.check import check_archive, of_info
from include.recovery.pgbackrest.opened import Opened
from include.recovery.pgbackrest.stanza import Stanza, physical_of_policy
from include.recovery.postgres.server import PostgresServer

_OPENED = 2
"""Newest WAL segments whose content is read at each look; any other is read once, or until it is good."""


def check_end_to_end(
    stanza: Stanza, server: PostgresServer, store: str, *, now: datetime, stop: threading.Event | None = None
) -> str:
    """Close a segment and wait for it in every repository; then look at the server's queue and the store's archive.

    :return: what was found to be well, in a sentence.
    :raises SourceError: when archiving is late or pgBackRest complains.
    :raises BackupCorrupt: when WAL is missing, damaged or of another cluster.
    :raises SourceUnavailable, StoreUnavailable: when it cannot be told.
    """
    source, number, tool = stanza.source, stanza.number(store), stanza.tool
    where = f"{stanza.system.system}/{source.name}"
    tool.run(commands.check(tool.call), "the check of archiving", stop=stop)
    troubles = list(of_info(tool.info(repository=number)))
    if source.wal is not None:
        queue = physical_of_policy(stanza.system, source).queue_max
        troubles += judge_archiver(
            ask_archiver(server), allowance=source.wal.push_allowance, queue_max=queue
        ).problems
    if troubles:
        raise SourceError(f"{where}: {'; '.join(troubles)}")
    window = source.wal.keep if source.wal else timedelta()
    found = check_archive(
        tool, number, since=now - window, segment_bytes=stanza.segment_bytes, open_newest=_OPENED,
        opened=Opened.of(stanza.configuration.folders.root, number),
    )
    if found.problems:
        raise BackupCorrupt(f"{where}, store {store}: {'; '.join(found.problems)}")
    return (
        f"WAL reaches every repository; the archive in {store} has {len(found.archive.segments)} segments without a "
        f"hole, {found.opened} of them opened"
    )
