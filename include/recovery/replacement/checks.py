"""What has to hold before the replacement of a cluster is called done."""

from __future__ import annotations

import os
import threading
import time

from include.recovery.errors import NotIdentical, SourceError
from include.recovery.pgbackrest import commands
from include.recovery.pgbackrest.cluster import Cluster, ask_cluster
from include.recovery.pgbackrest.restore import closed_databases
from include.recovery.pgbackrest.segments import SEGMENT_BYTES, segment_of_name
from include.recovery.pgbackrest.tool import PgBackRest
from include.recovery.postgres.server import PostgresServer
from include.recovery.replacement.place import Place


def check_in_service(place: Place, server: PostgresServer, *, system_identifier: str) -> Cluster:
    """Whether clients reach the new cluster where they reached the old one, and every database lets them in.

    :param server: as the connection reaches it.
    :param system_identifier: of the backup.
    :raises NotIdentical: naming what is not as it should be.
    """
    cluster = ask_cluster(server)
    wrong = []
    if cluster.system_identifier != system_identifier:
        wrong.append(f"its system identifier is {cluster.system_identifier}, the backup's is {system_identifier}")
    if os.path.realpath(cluster.data_directory) != str(place.data):
        wrong.append(f"it works in {cluster.data_directory} and not in {place.data}")
    if cluster.in_recovery:
        wrong.append("it is still in recovery and takes no writes")
    wrong += closed_databases(server, cluster.databases)
    if wrong:
        raise NotIdentical(f"{server.redacted} answers, and {'; '.join(wrong)}; what was there is in {place.aside}")
    return cluster


def check_archiving(
    tool: PgBackRest,
    repositories: tuple[int, ...],
    *,
    timeline: int,
    segment_bytes: int = SEGMENT_BYTES,
    seconds: float = 120.0,
    stop: threading.Event | None = None,
) -> dict[int, str]:
    """Close a segment and see that every repository has it, on the new timeline; the newest in each.

    :param tool: of the stanza, as the server archives to it.
    :param seconds: that a segment may take after pgBackRest's own check has passed.
    :raises SourceError: when WAL does not arrive, or is still the old timeline's.
    """
    tool.run(commands.check(tool.call), "the check that WAL arrives after the replacement", stop=stop)
    end = time.monotonic() + seconds
    while True:
        arrived = {number: _newest(tool, number) for number in repositories}
        late = [number for number, name in arrived.items() if _timeline(name, segment_bytes) != timeline]
        if not late:
            return arrived
        if time.monotonic() > end:
            raise SourceError(
                f"stanza {tool.stanza}: the cluster went on on timeline {timeline}, and repositories {late} hold WAL "
                f"only until {', '.join(arrived[number] or 'nothing' for number in late)}; see pgBackRest's log"
            )
        time.sleep(1)


def _newest(tool: PgBackRest, number: int) -> str:
    archive = tool.info(repository=number).archive(number)
    return (archive.last or "") if archive else ""


def _timeline(name: str, segment_bytes: int) -> int | None:
    return segment_of_name(name, segment_bytes).timeline if name else None
