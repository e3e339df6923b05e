"""Errors are one sentence and an exit code; the bucket and the key are enough."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from include.recovery import errors
from include.recovery.cli.app import EXIT_CODES, app, exit_code
from include.recovery.evidence.verdict import ProofFailed

ROOT = Path(__file__).parents[3]


@pytest.fixture
def backup(make_backup):
    return make_backup(datetime.now(UTC) - timedelta(hours=1))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.PartDamaged("x"), 3), (errors.NotIdentical("x"), 3), (ProofFailed("x", ("y",)), 3),
        (errors.ApprovalMissing("x"), 4), (errors.LeaseHeld("x"), 4), (errors.StoreUnavailable("x"), 5),
        (errors.BackupNotFound("x"), 6), (errors.KeyDisabled("x"), 7), (errors.PolicyError(["x"]), 8),
        (errors.ToolFailed("pg_dump", 1, "x"), 1), (errors.LifeboatError("x"), 1),
    ],
)  # fmt: skip
def test_exit_codes(error, code):
    assert exit_code(error) == code


def test_exit_codes_are_documented():
    help_text = " ".join(CliRunner().invoke(app, ["--help"], env={"COLUMNS": "500"}).stdout.split())
    for code, what, _ in EXIT_CODES:
        assert f"{code} {what}" in help_text


def test_wrong_usage_is_2(lifeboat):
    assert lifeboat("no-such-command").exit_code == 2
    assert lifeboat("sweep", "--grace", "soon").exit_code == 2
    assert lifeboat("restore", "labdojo", "--approve", "ada").exit_code == 2
    assert lifeboat("restore", "labdojo", "--over-live", "--into", "x").exit_code == 2


def test_errors_are_one_sentence(lifeboat):
    result = lifeboat("show", "nobody")
    assert result.exit_code == 6
    assert result.stdout == ""
    assert result.stderr.strip() == "lifeboat: store primary has no backup of nobody; it has backups of nothing"
    result = lifeboat("list", "--store", "moon")
    assert result.exit_code == 8
    assert "store 'moon' is not defined" in result.stderr


def test_verify_reads_every_part(lifeboat, backup):
    result = lifeboat("verify", "labdojo")
    assert result.exit_code == 0, result.stderr
    assert "SHA-512 as written" in result.stderr
    assert json.loads(lifeboat("show", "labdojo", "--json").stdout)["proofs"][0]["ok"] is True


def test_verify_finds_a_flipped_byte(lifeboat, backup, folder_workspace):
    key = backup.parts[0].volumes[0].key
    content, _ = folder_workspace.store("primary").get(key)
    folder_workspace.store("primary").put(key, content[:50] + bytes([content[50] ^ 1]) + content[51:])
    result = lifeboat("verify", "labdojo")
    assert result.exit_code == 3
    assert "SHA-512" in result.stderr
    assert lifeboat("verify", "labdojo").exit_code == 6
    assert json.loads(lifeboat("list", "--json").stdout)["backups"][0]["damaged"] is True


def test_verify_finds_a_missing_part(lifeboat, backup, folder_workspace):
    folder_workspace.store("primary").delete(backup.parts[0].volumes[0].key)
    assert lifeboat("verify", "labdojo").exit_code == 3


def test_the_bucket_is_enough_to_look(lifeboat, backup, tmp_path):
    url = ("--store-url", str(tmp_path / "primary"))
    assert json.loads(lifeboat(*url, "list", "--json", bare=True).stdout)["backups"][0]["id"] == backup.id
    assert lifeboat(*url, "show", "labdojo", bare=True).exit_code == 0
    assert lifeboat(*url, "verify", "labdojo", bare=True).exit_code == 0


def test_without_a_policy_the_target_must_be_named(lifeboat, backup, tmp_path):
    result = lifeboat("--store-url", str(tmp_path / "primary"), "restore", "labdojo", bare=True)
    assert result.exit_code == 1
    assert "name it with PGHOST" in result.stderr


def test_a_bad_store_url_or_key_is_said(lifeboat, tmp_path):
    result = lifeboat("--store-url", "ftp://x", "list")
    assert "allowed is s3://bucket" in result.stderr
    assert lifeboat("--key", str(tmp_path / "none.pem"), "list").exit_code == 1


def test_sweep_removes_debris_and_leaves_backups(lifeboat, backup, folder_workspace):
    debris = "labdojo/main-db/postgres/20200101T000000Z-dead/parts/rest.0001"
    folder_workspace.store("primary").put(debris, b"x")
    result = lifeboat("sweep", "--grace", "0s")
    assert result.exit_code == 0, result.stderr
    assert "1 piece of debris removed" in result.stderr
    assert not list(folder_workspace.store("primary").list("labdojo/main-db/postgres/20200101T000000Z-dead/"))
    assert lifeboat("verify", "labdojo").exit_code == 0


def test_it_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "include.recovery.cli", "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "lifeboat" in done.stdout
