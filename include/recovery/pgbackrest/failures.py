"""What a failed call of pgBackRest means: is it worth another try, is something else to be done first, is it broken?

pgBackRest's exit codes are data (its ``error.yaml``). Code 103 ("no valid repository") and the workers' messages name
the true cause in their text, so the text is looked at first.
"""

from __future__ import annotations

import re

from include.recovery.errors import (
    BackupCorrupt,
    BackupNotFound,
    InsufficientRights,
    LeaseHeld,
    LifeboatError,
    PartMissing,
    Refused,
    SourceError,
    SourceUnavailable,
    StoreError,
    StoreUnavailable,
    ToolFailed,
    WrongKey,
)
from include.recovery.processes import redact

_ERROR = re.compile(r"(?:ERROR|ASSERT): \[(\d{3})\]: (.*?)(?=\n\S*P\d\d |\nP\d\d |\Z)", re.DOTALL)
_INNER = re.compile(r"\[([A-Z][A-Za-z]+Error)\]")

_FULL = ("No space left on device", "QuotaExceeded", "InsufficientStorage", "StorageFull", "Disk quota exceeded")
_LAST_FULL = ("cannot be expired until another full backup",)
_INFO_FILE = "unable to load info file"
_UNREADABLE = ("CryptoError", "FormatError")
_NO_BUCKET = ("NoSuchBucket",)
_DENIED = ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthorizationHeaderMalformed")
_BUSY = ("SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout")
_UNTRUSTED = ("unable to verify certificate", "unable to find hostname", "certificate presented by", "self-signed")
_CLOCK = ("RequestTimeTooSkewed",)

NAMES: dict[int, str] = {
    25: "AssertError", 26: "ChecksumError", 27: "ConfigError", 28: "FileInvalidError", 29: "FormatError",
    30: "CommandRequiredError", 31: "OptionInvalidError", 32: "OptionInvalidValueError", 37: "OptionRequiredError",
    38: "PgRunningError", 39: "ProtocolError", 40: "PathNotEmptyError", 41: "FileOpenError", 42: "FileReadError",
    43: "ParamRequiredError", 44: "ArchiveMismatchError", 45: "ArchiveDuplicateError", 46: "VersionNotSupportedError",
    47: "PathCreateError", 48: "CommandInvalidError", 49: "HostConnectError", 50: "LockAcquireError",
    51: "BackupMismatchError", 52: "FileSyncError", 53: "PathOpenError", 54: "PathSyncError", 55: "FileMissingError",
    56: "DbConnectError", 57: "DbQueryError", 58: "DbMismatchError", 60: "FileRemoveError", 61: "PathRemoveError",
    62: "StopError", 63: "TermError", 64: "FileWriteError", 67: "FeatureNotSupportedError",
    68: "ArchiveCommandInvalidError", 69: "LinkExpectedError", 70: "LinkDestinationError", 72: "HostInvalidError",
    73: "PathMissingError", 74: "FileMoveError", 75: "BackupSetInvalidError", 76: "TablespaceMapError",
    78: "LinkMapError", 79: "FileCloseError", 80: "DbMissingError", 81: "DbInvalidError", 82: "ArchiveTimeoutError",
    83: "FileModeError", 87: "ArchiveDisabledError", 88: "FileOwnerError", 89: "UserMissingError",
    93: "FileExistsError", 94: "MemoryError", 95: "CryptoError", 96: "ParamInvalidError", 97: "PathCloseError",
    98: "FileInfoError", 99: "JsonFormatError", 100: "KernelError", 101: "ServiceError", 102: "ExecuteError",
    103: "RepoInvalidError", 104: "CommandError", 105: "AccessError", 106: "ClockError", 122: "RuntimeError",
    124: "UnhandledError", 125: "UnknownError",
}
"""Every exit code of pgBackRest by its name."""

_TROUBLE = "try again; when it stays, look at the repository's service"
_KINDS: dict[str, tuple[type[LifeboatError], str]] = {
    "HostConnectError": (StoreUnavailable, _TROUBLE),
    "ServiceError": (StoreUnavailable, _TROUBLE),
    "ProtocolError": (StoreUnavailable, _TROUBLE),
    "FileReadError": (StoreUnavailable, _TROUBLE),
    "ClockError": (StoreUnavailable, "set the clock of this host"),
    "DbConnectError": (SourceUnavailable, "check that the server runs and takes its superuser over its socket"),
    "DbQueryError": (SourceUnavailable, "see the server's log, then try again"),
    "DbMissingError": (SourceUnavailable, "check that the server runs"),
    "ArchiveTimeoutError": (
        SourceUnavailable,
        "WAL does not reach the repository in time: see why archive_command fails (`lifeboat wal`), then try again",
    ),
    "LockAcquireError": (LeaseHeld, "another pgBackRest works on this stanza: wait for its end"),
    "StopError": (Refused, "somebody ran `pgbackrest stop`; run `pgbackrest start` when its reason is gone"),
    "PgRunningError": (Refused, "a server runs in the folder that would be overwritten; stop it or take another"),
    "PathNotEmptyError": (Refused, "the folder is not empty: take an empty one, or restore with delta"),
    "BackupSetInvalidError": (BackupNotFound, "list what there is with `lifeboat list`"),
    "ChecksumError": (BackupCorrupt, "restore from another repository, and take a full backup"),
    "FormatError": (BackupCorrupt, "restore from another repository, and take a full backup"),
    "JsonFormatError": (BackupCorrupt, "restore from another repository, and take a full backup"),
    "ArchiveDuplicateError": (BackupCorrupt, "two different WAL segments have one name: find out who wrote the second"),
    "FileMissingError": (PartMissing, "the repository lacks a file that it needs: restore from another one"),
    "CryptoError": (WrongKey, "the repository is encrypted with another pass: take the one that lies beside it"),
    "ArchiveMismatchError": (SourceError, "the stanza belongs to another cluster: see its system identifier"),
    "BackupMismatchError": (SourceError, "the stanza belongs to another cluster, or it was upgraded: stanza-upgrade"),
    "DbMismatchError": (SourceError, "the stanza belongs to another cluster: correct the connection"),
    "FileInvalidError": (SourceError, "the stanza belongs to another cluster, or it was upgraded: stanza-upgrade"),
    "DbInvalidError": (SourceError, "correct the connection of the cluster"),
    "PathMissingError": (SourceError, "the data directory is not there: correct the connection"),
    "ArchiveDisabledError": (SourceError, "switch archiving on with `lifeboat prepare`, and restart the server"),
    "ArchiveCommandInvalidError": (SourceError, "the server archives by another command: `lifeboat prepare` sets it"),
    "VersionNotSupportedError": (SourceError, "install a pgBackRest that knows this version of PostgreSQL"),
    "TablespaceMapError": (SourceError, "give a folder for the tablespaces"),
    "AccessError": (InsufficientRights, "correct the credentials or rights of the repository's connection"),
    "FileOwnerError": (InsufficientRights, "run Lifeboat as the server's operating-system user"),
    "FileOpenError": (InsufficientRights, "run Lifeboat as the server's operating-system user"),
    "PathOpenError": (InsufficientRights, "run Lifeboat as the server's operating-system user"),
}


def meaning(
    error: ToolFailed, doing: str, *, where: str, secrets: tuple[str, ...] = ()
) -> LifeboatError:
    """The error to raise for a call that failed.

    :param doing: what it was for, such as ``the full backup``.
    :param where: stanza and repository.
    """
    said = redact(said_in(error.stderr), secrets)
    begin = f"stanza {where}: {doing} failed"
    if _INFO_FILE in said and any(f"[{name}]" in said or NAMES.get(error.exit_code) == name for name in _UNREADABLE):
        # What another pass makes of a file is at times no ciphertext, at times no text: two errors for one cause.
        return WrongKey(
            f"{begin}: the repository is encrypted with another pass, or both copies of its info file are damaged: "
            f"take the pass that lies beside it; {_short(said)}"
        )
    told = kind_by_words(said)
    if told is not None:
        return told[0](f"{begin}: {_short(said)}; {told[1]}")
    for name in [*_INNER.findall(said), NAMES.get(error.exit_code, "")]:
        if name in _KINDS:
            kind, advice = _KINDS[name]
            return kind(f"{begin}: {_short(said)}; {advice}")
    failed = ToolFailed(error.tool, error.exit_code, said)
    name = NAMES.get(error.exit_code, f"exit code {error.exit_code}")
    how = f"signal {-error.exit_code} ended pgBackRest" if error.exit_code < 0 else name
    failed.args = (f"{begin} ({how}): {_short(said)}",)
    return failed


def meaning_of_status(message: str, stanza: str, repository: int) -> LifeboatError:
    """The error to raise for a repository that ``info`` could not look into.

    :param message: pgBackRest's.
    """
    where = f"{stanza}, repository {repository}"
    return meaning(ToolFailed("pgbackrest", 0, message), "looking into it", where=where)


def kind_by_words(said: str) -> tuple[type[LifeboatError], str] | None:
    """What a message's own words tell, more surely than any exit code."""
    by_words: tuple[tuple[tuple[str, ...], type[LifeboatError], str], ...] = (
        (_FULL, StoreError, "the repository (or the spool folder) is full: make room, by retention or a larger quota"),
        (_LAST_FULL, Refused, "take another full backup to this repository first"),
        (_NO_BUCKET, StoreError, "make the repository's bucket"),
        (_CLOCK, StoreUnavailable, "set the clock of this host"),
        (_DENIED, InsufficientRights, "correct the credentials or rights of the repository's connection"),
        (_UNTRUSTED, StoreError, "the endpoint's certificate is not the authority's: check the CA file and the host"),
        (_BUSY, StoreUnavailable, _TROUBLE),
    )
    for words, kind, advice in by_words:
        if any(word in said for word in words):
            return kind, advice
    return None


def said_in(stderr: str) -> str:
    """The errors in what pgBackRest said, without its prefixes; all it said when there is none."""
    errors = [text.strip() for _, text in _ERROR.findall(stderr)]
    return "\n".join(errors) or stderr.strip() or "it said nothing"


def _short(said: str) -> str:
    """One line of bearable length: the repository's answers quote whole requests."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith("***")]
    text = " ".join(lines)
    return text if len(text) <= 400 else f"{text[:400]} ..."
