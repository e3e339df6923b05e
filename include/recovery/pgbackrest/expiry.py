"""Removes from a repository what a retention plan lets go: one backup, or WAL before the window."""

from __future__ import annotations

from collections.abc import Sequence

from include.recovery.errors import BackupNotFound, Refused
from include.recovery.pgbackrest import commands
from include.recovery.pgbackrest.tool import PgBackRest
from include.recovery.retention.wal import fulls_with_log


def remove_backup(tool: PgBackRest, number: int, label: str) -> bool:
    """Remove one backup from a repository. Done twice, it does no harm.

    :return: whether it was there.
    :raises Refused: when others stand on it, which pgBackRest would remove with it; or when it is the last full one.
    """
    info = tool.info(repository=number)
    if all(each.label != label for each in info.in_repository(number)):
        return False
    standing = info.dependants(label, number)
    if standing:
        raise Refused(
            f"stanza {tool.stanza}: {', '.join(standing)} in repository {number} stand on {label}; remove them first"
        )
    tool.run(commands.expire(tool.call, number, label=label), f"expiring {label}")
    return True


def remove_wal(tool: PgBackRest, number: int, bases: Sequence[str]) -> None:
    """Remove WAL from before the full backups that the window stands on, but for what older backups need.

    :param bases: their labels, one for each cluster that the window reaches into.
    :raises BackupNotFound: when the repository does not have one of them; then nothing is removed.
    """
    found = tool.info(repository=number).in_repository(number)
    fulls = [each.label for each in found if each.type == "full"]
    counts = {label: fulls_with_log(fulls, label) for label in bases}
    missing = [label for label, count in counts.items() if count is None]
    if missing or not counts:
        raise BackupNotFound(
            f"stanza {tool.stanza}: repository {number} lacks {', '.join(missing) or 'any base'}, which the window "
            "stands on; no WAL is removed: take a full backup, and see what became of it"
        )
    most = max(count for count in counts.values() if count is not None)
    tool.run(commands.expire(tool.call, number, archive_full=most), "expiring WAL")
