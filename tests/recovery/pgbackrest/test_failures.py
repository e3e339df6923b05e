"""What pgBackRest's last words mean for the retry."""

from __future__ import annotations

import pytest

from include.recovery.errors import (
    BackupCorrupt,
    BackupNotFound,
    InsufficientRights,
    LeaseHeld,
    PartMissing,
    Refused,
    SourceError,
    SourceUnavailable,
    StoreError,
    StoreUnavailable,
    ToolFailed,
    WrongKey,
)
from include.recovery.pgbackrest.check import of_verify
from include.recovery.pgbackrest.failures import NAMES, meaning, said_in
from include.recovery.pgbackrest.restore import meaning_of_recovery
from include.recovery.pgbackrest.target import Target

LOCKED = """ERROR: [050]: unable to acquire lock on file '/run/main-backup.lock': Resource temporarily unavailable
       HINT: is another pgBackRest process running?
"""
NO_REPOSITORY = "ERROR: [103]: unable to find a valid repository:\n       "


@pytest.mark.parametrize(
    ("code", "said", "kind"),
    [
        (50, LOCKED, LeaseHeld),
        (49, "ERROR: [049]: unable to connect to 's3:443': [111] Connection refused", StoreUnavailable),
        (103, f"{NO_REPOSITORY}repo1: [HostConnectError] no route", StoreUnavailable),
        (103, f"{NO_REPOSITORY}repo1: [CryptoError] cipher header invalid", WrongKey),
        (29, "ERROR: [029]: unable to load info file '/b/backup.info' or '/b/backup.info.copy':", WrongKey),
        (95, "ERROR: [095]: unable to load info file '/b/backup.info' or '/b/backup.info.copy':", WrongKey),
        (29, "ERROR: [029]: invalid manifest", BackupCorrupt),
        (101, "ERROR: [101]: HTTP request failed with 503 (Service Unavailable): SlowDown", StoreUnavailable),
        (39, "ERROR: [039]: HTTP request failed with 403 (Forbidden): <Code>AccessDenied</Code>", InsufficientRights),
        (39, "ERROR: [039]: HTTP request failed with 403 (Forbidden): <Code>QuotaExceeded</Code>", StoreError),
        (39, "ERROR: [039]: HTTP request failed with 404 (Not Found): <Code>NoSuchBucket</Code>", StoreError),
        (64, "ERROR: [064]: unable to write '/repo/x': [28] No space left on device", StoreError),
        (49, "ERROR: [049]: unable to verify certificate presented by 's3:443': [20] unable to get issuer", StoreError),
        (82, "ERROR: [082]: WAL segment 000000010000000000000001 was not archived before the 60000ms timeout",
         SourceUnavailable),
        (56, "ERROR: [056]: unable to find primary cluster - cannot proceed", SourceUnavailable),
        (26, "ERROR: [026]: error restoring 'base/1/2': actual checksum 'a' does not match expected checksum 'b'",
         BackupCorrupt),
        (55, "ERROR: [055]: unable to load info file '/repo/archive/x/archive.info'", PartMissing),
        (44, "ERROR: [044]: WAL file '000000010000000000000002' version 15, system-id 1 do not match", SourceError),
        (87, "ERROR: [087]: archive_mode must be enabled", SourceError),
        (75, "ERROR: [075]: backup set 20200101-000000F is not valid", BackupNotFound),
        (38, "ERROR: [038]: unable to restore while PostgreSQL is running", Refused),
        (40, "ERROR: [040]: unable to restore to path '/d' because it contains files", Refused),
        (62, "ERROR: [062]: stop file exists for all stanzas", Refused),
        (25, "ASSERT: [025]: impossible", ToolFailed),
        (-9, "", ToolFailed),
    ],
)
def test_the_class_of_the_error_decides_about_a_retry(code: int, said: str, kind: type[Exception]) -> None:
    error = meaning(ToolFailed("pgbackrest", code, said), "the full backup", where="shop-main-db")
    assert type(error) is kind
    assert str(error).startswith("stanza shop-main-db: the full backup failed")
    assert "\n" not in str(error)


def test_a_secret_that_pgbackrest_repeats_is_not_shown() -> None:
    said = "ERROR: [039]: HTTP request failed: authorization: AKIASECRET"
    error = meaning(ToolFailed("pgbackrest", 39, said), "a call", where="s", secrets=("AKIASECRET",))
    assert "AKIASECRET" not in str(error)
    assert "***" in str(error)


def test_logs_are_cut_off() -> None:
    said = "P00   INFO: begin\nP00  ERROR: [055]: no file\n             HINT: look\nP00   INFO: end"
    assert said_in(said) == "no file\n             HINT: look"
    assert said_in("Killed") == "Killed"


def test_exit_codes_are_unique() -> None:
    assert len(set(NAMES.values())) == len(NAMES)
    assert all(25 <= code <= 125 for code in NAMES)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("07:00:00 UTC FATAL:  recovery ended before configured recovery target was reached", BackupNotFound),
        ("FATAL:  requested recovery stop point is before consistent recovery point", BackupNotFound),
        ("FATAL:  requested timeline 3 is not a child of this server's history", BackupNotFound),
        ("FATAL:  WAL ends before consistent recovery point", BackupCorrupt),
        ("PANIC:  could not locate a valid checkpoint record", BackupCorrupt),
    ],
)
def test_a_recovery_that_ends_early_is_no_success(said: str, kind: type[Exception]) -> None:
    assert type(meaning_of_recovery(said, Target.point("p"))) is kind


def test_verify_is_read() -> None:
    text = """stanza: main
status: error
  archiveId: 15-1, total WAL checked: 4, total valid WAL: 4
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
  backup: 20261121-133606F, status: invalid, total files checked: 964, total valid files: 963
    missing: 0, checksum invalid: 1, size invalid: 0, other: 0
  backup: 20261121-143606F, status: valid, total files checked: 964, total valid files: 964
"""
    log = "P01   WARN: invalid checksum '15-1/0000000100000000/000000010000000000000004-aa.zst'"
    counts = "status: error\n  archiveId: 15-1, total WAL checked: 4, total valid WAL: 2\n"
    assert "2 of 4 WAL segments of 15-1 are good" in of_verify(counts, "", stanza="main", repository=2)[0]
    assert len(of_verify("status: error", "", stanza="main", repository=2)) == 1
    wal, backup = of_verify(text, log, stanza="main", repository=2)
    assert wal.startswith("stanza main: repository 2: 15-1/0000000100000000/000000010000000000000004-aa.zst is damaged")
    assert "backup 20261121-133606F is invalid: 963 of 964 files are good" in backup
    good = text.replace("invalid, total", "valid, total").replace("status: error", "status: ok")
    assert of_verify(good, "P00   INFO: begin: --repo1-path=/missing", stanza="main", repository=2) == ()
