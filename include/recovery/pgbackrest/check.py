"""``pgbackrest check`` and ``verify``: does archiving work end to end, and is what is stored still what was written?"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from include.recovery.errors import BackupNotFound, LifeboatError
from include.recovery.pgbackrest import commands
from include.recovery.pgbackrest.failures import kind_by_words
from include.recovery.pgbackrest.info import StanzaInfo
from include.recovery.pgbackrest.opened import Opened
from include.recovery.pgbackrest.segments import SEGMENT_BYTES, Lineage, segment_of_name
from include.recovery.pgbackrest.tool import PgBackRest
from include.recovery.pgbackrest.wal import Archive, Finding, Reach, examine, lineage_of, needed_by, reach
from include.recovery.pgbackrest.wal_content import archive_path, examine_segments, read_archive, read_histories

_LOGGED = re.compile(r"(WARN|ERROR|INFO):\s+(?:\[\d{3}\]:?\s+)?(.*)")
_INVALID = re.compile(r"(invalid checksum|invalid size|file missing|invalid result)\s+'?([^']+?)'?(?:: \[.*)?$")
_STATUS = re.compile(r"backup: (\S+), status: ([a-z -]+), total files checked: (\d+), total valid files: (\d+)")
_WAL = re.compile(r"archiveId: (\S+), total WAL checked: (\d+), total valid WAL: (\d+)")
_VERIFY_FOUND = (0, 104, 122)
"""verify ends with one of these when it has found something: then its text says what."""


@dataclass(frozen=True)
class CheckReport:
    """What a check found.

    :param problems: each a sentence; empty when all is well.
    :param checked: what was looked at, for the evidence.
    """

    problems: tuple[str, ...]
    checked: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def check(tool: PgBackRest, *, stop: threading.Event | None = None) -> CheckReport:
    """Whether a segment that the server closes now reaches every repository.

    Failures are findings, and none is raised: a check that cannot be made has not passed.
    """
    try:
        tool.run(commands.check(tool.call), "the check of archiving", stop=stop)
        problems = of_info(tool.info())
    except LifeboatError as error:
        return CheckReport((str(error),))
    return CheckReport(problems, "a WAL segment went from the server to every repository")


def verify(tool: PgBackRest, repository: int, *, stop: threading.Event | None = None) -> CheckReport:
    """Whether every backup and WAL segment of a repository is what was written, by reading all of it back.

    :raises LifeboatError: when pgBackRest could not look at all: the repository cannot be reached, say.
    """
    outcome = tool.outcome(
        commands.verify(tool.call, repository), f"verifying repository {repository}", stop=stop, accepted=_VERIFY_FOUND
    )
    text = outcome.stdout.decode("utf-8", "replace")
    problems = of_verify(text, outcome.stderr, stanza=tool.stanza, repository=repository)
    if outcome.code and not problems:
        last = (outcome.stderr or text).strip().splitlines()[-1:] or ["it did not say what"]
        problems = (f"stanza {tool.stanza}: repository {repository} does not verify: {last[0].strip()}",)
    # The whole text may have a line for each segment: what it is about is enough here.
    return CheckReport(problems, f"pgbackrest verify read all of repository {repository}")


@dataclass(frozen=True)
class ArchiveReport:
    """What WAL a repository has, and what is wrong with it.

    :param reach: how far recovery gets from each backup, by label.
    :param opened: segments whose content was looked at.
    """

    archive: Archive
    lineage: Lineage
    findings: tuple[Finding, ...]
    reach: Mapping[str, Reach]
    opened: int = 0

    @property
    def problems(self) -> tuple[str, ...]:
        """Each a sentence; empty when all is well."""
        return tuple(finding.sentence for finding in self.findings)


def check_archive(
    tool: PgBackRest,
    repository: int,
    *,
    since: datetime,
    segment_bytes: int = SEGMENT_BYTES,
    open_newest: int = 0,
    opened: Opened | None = None,
) -> ArchiveReport:
    """Whether the WAL that recovery needs is in a repository, without a hole.

    :param since: recovery to every moment from then on is promised.
    :param segment_bytes: of the cluster.
    :param open_newest: read so many of the newest segments and judge their content: it costs their size each.
    :param opened: read beside them those that were never found good as they are, and remember which are now.
    :raises BackupNotFound: when the repository has no archive of this stanza at all.
    """
    info = tool.info(repository=repository)
    where = info.archive(repository)
    if where is None:
        raise BackupNotFound(f"stanza {tool.stanza}: repository {repository} has no archive; make the stanza there")
    folder = archive_path(tool.stanza, where.archive_id)
    archive = read_archive(tool, repository, where.archive_id, segment_bytes=segment_bytes)
    histories = read_histories(tool, repository, archive, folder)
    lineage = lineage_of(archive, histories)
    backups = [each for each in info.in_repository(repository) if each.database_id == where.database_id]
    findings = list(examine(archive, lineage, needed_by(backups, since, segment_bytes), histories))
    newest = sorted(archive.segments, reverse=True)[:open_newest]
    newest += [each for each in (opened.due(archive) if opened else ()) if each not in newest]
    system = info.system_identifier(where.database_id, repository)
    known = {finding.segments for finding in findings}
    bad = list(examine_segments(tool, repository, archive, folder, newest, system))
    if opened is not None:
        opened.remember(archive, newest, {finding.segments for finding in bad if finding.segments})
    findings += [finding for finding in bad if finding.segments not in known]
    reached = {
        backup.label: reach(archive, lineage, segment_of_name(backup.wal_start, segment_bytes)) for backup in backups
    }
    return ArchiveReport(archive, lineage, tuple(findings), reached, len(newest))


def of_info(info: StanzaInfo) -> tuple[str, ...]:
    """What is wrong by pgBackRest's own account: repositories in trouble, chains with a missing link, damaged pages."""
    problems = [
        f"stanza {info.name}: repository {status.number}: {status.message}; {_advice(status.code, status.message)}"
        for status in info.repositories
        if status.code
    ]
    for backup in info.backups:
        try:
            info.chain(backup.label, backup.repository)
        except LifeboatError as error:
            problems.append(str(error))
        if backup.error:
            problems.append(
                f"stanza {info.name}: repository {backup.repository}: pages failed their checksum while backup "
                f"{backup.label} was made; check the server's disk, and prove an older backup"
            )
    return tuple(problems)


def of_verify(text: str, stderr: str, *, stanza: str, repository: int) -> tuple[str, ...]:
    """Sentences from what ``verify`` printed and logged."""
    where = f"stanza {stanza}: repository {repository}"
    problems: list[str] = []
    for line in [*stderr.splitlines(), *text.splitlines()]:
        logged = _LOGGED.search(line)
        if logged is None:
            continue
        said = logged[2].strip()
        invalid = _INVALID.search(said)
        if invalid is not None:
            problems.append(f"{where}: {invalid[2]} is damaged ({invalid[1]}); {_REPAIR}")
        elif logged[1] == "ERROR" or (logged[1] == "WARN" and ("missing" in said or "duplicate" in said)):
            problems.append(f"{where}: {said}; {_REPAIR}")
    for label, status, checked, valid in _STATUS.findall(text):
        if status.strip() not in {"valid", "in-progress"}:
            what = status.strip()
            problems.append(f"{where}: backup {label} is {what}: {valid} of {checked} files are good; {_REPAIR}")
    for archive, checked, valid in _WAL.findall(text):
        if checked != valid:
            problems.append(f"{where}: {valid} of {checked} WAL segments of {archive} are good; {_REPAIR}")
    # pgBackRest 2.45 ends with exit code 0 whatever it has found: its own verdict is in the text alone.
    if "status: error" in text and not problems:
        problems.append(f"{where} does not verify, and pgBackRest names no file; {_REPAIR}")
    return tuple(dict.fromkeys(problems))


_REPAIR = "restore from another repository until a new full backup is there"


def _advice(code: int, message: str) -> str:
    told = kind_by_words(message)
    if told is not None:
        return told[1]
    by_code = {1: "make the stanza", 2: "take a full backup", 3: "make the stanza", 4: "compare the repositories",
               5: "see whether it can be reached"}
    return by_code.get(code, "see pgBackRest's log")
