"""The argv of every call of pgBackRest. Pure: nothing here runs anything, nothing here is a secret."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from include.recovery.pgbackrest.target import Target

BackupType = Literal["full", "diff", "incr"]
PROGRAM = "pgbackrest"
_QUIET = ("--log-level-console=off", "--log-level-stderr=error")
_WARNING = ("--log-level-console=off", "--log-level-stderr=warn")
_FINDING = ("--log-level-console=off", "--log-level-stderr=info")
_TELLING = ("--log-level-console=detail", "--log-level-stderr=error")


@dataclass(frozen=True)
class Call:
    """What every call begins with.

    :param config: the file with everything else, the secrets among it.
    """

    config: Path
    stanza: str
    program: str = PROGRAM

    def argv(self, command: str, *options: str, general: Sequence[str] = _QUIET, about: str | None = None) -> list[str]:
        """One call.

        :param about: the one word that follows the command.
        """
        words = [self.program, f"--config={self.config}", f"--stanza={self.stanza}", *general, *options, command]
        return words if about is None else [*words, about]


def version(program: str = PROGRAM) -> list[str]:
    """Print the version."""
    return [program, "version"]


def stanza_create(call: Call) -> list[str]:
    """Make the stanza in every repository; nothing happens where it is there and fits the cluster."""
    return call.argv("stanza-create")


def stanza_upgrade(call: Call) -> list[str]:
    """Make the stanza fit a cluster after pg_upgrade."""
    return call.argv("stanza-upgrade")


def check(call: Call) -> list[str]:
    """Switch WAL, and wait until the segment is in every repository."""
    return call.argv("check", general=_WARNING)


def info(call: Call, *, repository: int | None = None, label: str | None = None) -> list[str]:
    """Print what there is, as JSON.

    :param label: one backup, with its databases and damaged files; needs a repository.
    """
    options = [] if repository is None else [f"--repo={repository}"]
    options += [] if label is None else [f"--set={label}"]
    return call.argv("info", "--output=json", *options)


def backup(
    call: Call,
    kind: BackupType,
    repository: int,
    *,
    annotations: Mapping[str, str] | None = None,
    options: Mapping[str, str] | None = None,
) -> list[str]:
    """Back up to one repository, and tell each file on stdout.

    :param annotations: kept with the backup, shown by ``info``.
    :param options: more of pgBackRest's own, such as ``{"process-max": "4"}``; never a secret.
    """
    noted = [f"--annotation={name}={value}" for name, value in (annotations or {}).items()]
    more = [f"--{name}={value}" for name, value in (options or {}).items()]
    return call.argv("backup", f"--type={kind}", f"--repo={repository}", *noted, *more, general=_TELLING)


def restore(
    call: Call,
    target: Target,
    repository: int,
    *,
    label: str = "latest",
    delta: bool = False,
    force: bool = False,
    databases: Sequence[str] = (),
    tablespaces: str | None = None,
    standby: bool = False,
    keep_archiving: bool = False,
    fetch: str | None = None,
    options: Mapping[str, str] | None = None,
) -> list[str]:
    """Restore into the data folder that the configuration names, ready to recover to a target and open there.

    :param label: the backup to begin with.
    :param delta: keep files that are right already, by checksum; without it the folder must be empty.
    :param force: with ``delta``, judge files by size and time and not by checksum.
    :param databases: only these get their rows; the others come back as empty husks. The system's own always come.
    :param tablespaces: a folder that gets all tablespaces; None leaves them where they were.
    :param standby: never open: go on replaying whatever is archived. Only for the newest state.
    :param keep_archiving: False switches archiving off in the copy, so that it never writes to the original's archive.
    :param fetch: the program that fetches WAL while it recovers, see ``fetch_script``; None means pgBackRest alone.
    """
    words = [f"--repo={repository}", f"--set={label}"]
    if target.kind == "newest":
        words.append("--type=standby" if standby else "--type=default")
    else:
        words += [f"--type={target.kind}", f"--target={target.value}", "--target-action=promote"]
        if not target.inclusive and target.kind in {"time", "lsn", "xid"}:
            words.append("--target-exclusive")
    words.append(f"--target-timeline={target.timeline}")
    words += ["--delta"] if delta else []
    words += ["--force"] if force else []
    words += [f"--db-include={name}" for name in databases]
    words += [] if tablespaces is None else [f"--tablespace-map-all={tablespaces}"]
    words += [] if keep_archiving else ["--archive-mode=off"]
    if fetch is not None:
        # pgBackRest puts the value between quotes as it is.
        place = fetch.replace("'", "''").replace("%", "%%")
        words.append(f'--recovery-option=restore_command="{place}" %f "%p"')
    words += [f"--{name}={value}" for name, value in (options or {}).items()]
    return call.argv("restore", *words, general=_TELLING)


def archive_get(call: Call) -> str:
    """The server's ``restore_command``: fetch one segment from the archive."""
    words = call.argv("archive-get", general=_WARNING)
    return " ".join(shlex.quote(word).replace("%", "%%") for word in words) + ' %f "%p"'


def fetch_script(call: Call) -> str:
    """A program for ``restore_command`` that does not take the first failure for an answer.

    PostgreSQL takes any failure to fetch a segment for the end of the log, and opens there. A store that does not
    answer for a moment must not end a recovery, so only "it is not in the archive" (exit code 1) is passed on at once.
    """
    words = " ".join(shlex.quote(word) for word in call.argv("archive-get", general=_WARNING))
    return (
        "#!/bin/sh\n"
        "for pause in 0.5 1 2 0; do\n"
        f'    {words} "$1" "$2"\n'
        "    code=$?\n"
        '    [ "$code" -gt 1 ] || exit "$code"\n'
        '    sleep "$pause"\n'
        "done\n"
        'exit "$code"\n'
    )


def verify(call: Call, repository: int) -> list[str]:
    """Read all WAL and backups of a repository back and compare their checksums; print what was found."""
    # Its text has only counts, and exit code 0 whatever it found; the files are named in the log, at level info.
    return call.argv("verify", f"--repo={repository}", "--output=text", "--verbose", general=_FINDING)


def list_files(call: Call, repository: int, path: str) -> list[str]:
    """Print every file below a path of a repository, as JSON.

    :param path: relative, such as ``archive/labdojo-main-db/15-1``.
    """
    return call.argv("repo-ls", f"--repo={repository}", "--recurse", "--output=json", about=path)


def read_file(call: Call, repository: int, path: str) -> list[str]:
    """Print a file of a repository, decrypted and still compressed."""
    return call.argv("repo-get", f"--repo={repository}", about=path)


def expire(
    call: Call,
    repository: int,
    *,
    label: str | None = None,
    archive_full: int | None = None,
    dry_run: bool = False,
) -> list[str]:
    """Remove one backup with those that depend on it, and WAL that no longer counts.

    :param label: None removes no backup.
    :param archive_full: keep all WAL since this many full backups, and older only what each backup itself needs;
        None removes no WAL between backups that stay.
    :param dry_run: only say what would go.
    """
    words = [f"--repo={repository}"]
    words += [] if label is None else [f"--set={label}"]
    if archive_full is not None:
        retention = f"--repo{repository}-retention-archive"
        words += [f"{retention}-type=full", f"{retention}={archive_full}"]
    words += ["--dry-run"] if dry_run else []
    return call.argv("expire", *words, general=("--log-level-console=info", "--log-level-stderr=error"))
