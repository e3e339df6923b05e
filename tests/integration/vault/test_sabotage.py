"""What spoils a backup of Vault, and how each is told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from include.recovery.content import scratch_process
from include.recovery.content.port import Selection
from include.recovery.errors import (
    BackupCorrupt,
    InsufficientRights,
    LifeboatError,
    Refused,
    SourceError,
    SourceUnavailable,
)
from include.recovery.vault import copy
from include.recovery.vault import take as taking
from include.recovery.vault.client import Vault
from tests.fixtures.content import ContentPlace
from tests.integration.vault.conftest import Bao

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

Make = Callable[..., ContentPlace]


def test_wrong_unseal_keys_do_not_open_a_copy_and_leave_nothing(bao: Bao, vault_place: Make) -> None:
    place = vault_place("ab" * 33, "cd" * 33)
    backup = place.back_up()

    with pytest.raises(SourceError, match="unseal keys of connection 'depot_unseal' do not open") as error:
        place.copy(backup)

    assert "abab" not in str(error.value)
    assert not list(place.directory.glob("copy-*"))


def test_too_few_unseal_keys_are_named(bao: Bao, vault_place: Make) -> None:
    place = vault_place(bao.keys[0])

    with pytest.raises(SourceError, match="gives 1 unseal keys, and backup .* needs 2"):
        place.copy(place.back_up())


def test_a_token_without_rights_is_named_with_what_it_lacks(bao: Bao, vault_place: Make) -> None:
    policy = 'path "sys/storage/raft/snapshot" { capabilities = ["read"] }'
    bao.call("PUT", "sys/policies/acl/backup", {"policy": policy})
    weak = bao.call("POST", "auth/token/create", {"policies": ["shop"]})["auth"]["client_token"]
    some = bao.call("POST", "auth/token/create", {"policies": ["backup"]})["auth"]["client_token"]

    place = vault_place(connection=bao.connection(weak))
    with pytest.raises(InsufficientRights, match="lacks read on sys/storage/raft/snapshot") as error:
        place.verbs.precheck(place.workspace, place.system, place.source)
    assert weak not in str(error.value)
    assert some  # enough for the sealed state alone, see below


def test_a_backup_without_the_right_to_read_everything_fails(bao: Bao, vault_place: Make) -> None:
    policy = 'path "sys/*" { capabilities = ["read", "list"] }'
    bao.call("PUT", "sys/policies/acl/backup", {"policy": policy})
    some = bao.call("POST", "auth/token/create", {"policies": ["backup"]})["auth"]["client_token"]
    place = vault_place(*bao.keys[:2], connection=bao.connection(some))

    with pytest.raises(SourceError, match="answers /v1/old/ with 403"):
        place.back_up()

    assert place.backups() == []


def test_a_sealed_vault_is_named(bao: Bao, vault_place: Make) -> None:
    place = vault_place()
    bao.call("PUT", "sys/seal")

    with pytest.raises(SourceUnavailable, match="is sealed; unseal it"):
        place.back_up()

    assert place.backups() == []


def test_a_server_that_is_gone_is_worth_another_try(bao: Bao, vault_place: Make) -> None:
    place = vault_place()
    bao.stop()

    with pytest.raises(SourceUnavailable, match="does not answer"):
        place.back_up()

    assert place.backups() == []


def test_a_snapshot_that_breaks_off_is_no_backup(bao: Bao, vault_place: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server ends while the state flows."""
    place = vault_place()
    read = taking.read

    def cut(stream: Any, *words: Any, begun: Callable[[int], None]) -> Any:
        def then(index: int) -> None:
            begun(index)
            scratch_process.end(bao.folder, grace=0)
            raise EOFError

        return read(stream, *words, begun=then)

    monkeypatch.setattr(taking, "read", cut)
    with pytest.raises(SourceError, match="no whole raft snapshot"):
        place.back_up()

    assert place.backups() == []


def test_a_changing_vault_is_listed_again_until_it_stands_still(
    bao: Bao, vault_place: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = vault_place(*bao.keys[:2])
    snapshot, calls = Vault.snapshot, []

    def written_in_between(vault: Vault) -> Any:
        calls.append(vault)
        if len(calls) < 3:
            bao.secret("busy", n=str(len(calls)))
        return snapshot(vault)

    monkeypatch.setattr(Vault, "snapshot", written_in_between)
    backup = place.back_up()

    assert len(calls) == 3
    assert place.compare(backup, place.copy(backup)).identical


def test_a_vault_that_never_stands_still_is_not_said_to_be_compared(
    bao: Bao, vault_place: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = vault_place(*bao.keys[:2])
    snapshot = Vault.snapshot
    number = iter(range(100))

    def written_in_between(vault: Vault) -> Any:
        bao.secret("busy", n=str(next(number)))
        return snapshot(vault)

    monkeypatch.setattr(Vault, "snapshot", written_in_between)
    monkeypatch.setattr(taking, "_PAUSE", 0.01)
    backup = place.back_up()

    comparison = place.compare(backup, place.copy(backup))
    assert comparison.compared_rows == 2
    assert "never stood still" in comparison.not_compared[0].why


def test_whatever_is_changed_missing_or_planted_in_a_copy_is_named(bao: Bao, vault_place: Make) -> None:
    """The copy is changed as its root, as no person could by accident."""
    place = vault_place(*bao.keys[:2])
    backup = place.back_up()
    folder = place.copy(backup)

    with copy.opened(folder, bao.keys[:2]) as vault:
        vault.ask("POST", "secret/data/shop/db", {"data": {"user": "x"}})
        vault.ask("DELETE", "secret/metadata/shop/mail")
        vault.ask("POST", "old/planted", {"a": "b"})
        vault.ask("PUT", "sys/policies/acl/shop", {"policy": 'path "x" {}'})
        vault.ask("DELETE", "sys/auth/approle")

    comparison = place.compare(backup, folder)
    assert not comparison.identical
    assert [each.message for each in comparison.differences] == [
        "auth/approle/ is missing",
        "kv/old/planted is there, and was not backed up",
        "kv/secret/shop/db is not what was backed up",
        "kv/secret/shop/mail is missing",
        "policy/shop is not what was backed up",
    ]


def test_a_damaged_or_missing_part_is_named_and_nothing_is_put_back(bao: Bao, vault_place: Make) -> None:
    place = vault_place(*bao.keys[:2])
    backup = place.back_up()
    bao.secret("shop/db", user="present")
    (part,) = (each for each in backup.manifest.parts if each.name == "snapshot")
    (stored,) = place.directory.glob(f"primary/**/{part.volumes[0].key.rsplit('/', 1)[1]}*")
    whole = stored.read_bytes() if stored.is_file() else next(stored.iterdir()).read_bytes()
    file = stored if stored.is_file() else next(stored.iterdir())
    file.chmod(0o600)
    file.write_bytes(whole[:-2000] + bytes(1000) + whole[-1000:])

    with pytest.raises(BackupCorrupt):
        place.copy(backup)
    with pytest.raises(BackupCorrupt):
        place.verbs.put_back(place.workspace, backup, leave=place.site.name)

    assert bao.value("shop/db") == {"user": "present"}


def test_putting_back_a_part_of_it_is_refused(bao: Bao, vault_place: Make) -> None:
    place = vault_place()
    backup = place.back_up()

    with pytest.raises(Refused, match="goes back as a whole"):
        place.verbs.put_back(place.workspace, backup, leave=place.site.name, only=Selection(("kv/secret/shop/db",)))


def test_a_backup_that_needs_keys_says_so_when_the_policy_has_lost_them(bao: Bao, vault_place: Make) -> None:
    place = vault_place(*bao.keys[:2])
    backup = place.back_up()
    place.workspace.policies.systems["depot"] = place.system.model_copy(
        update={"sources": tuple(each.model_copy(update={"unseal_connection": None}) for each in place.system.sources)}
    )

    with pytest.raises(LifeboatError, match="name unseal_connection in the policy"):
        place.copy(backup)


def test_a_stopped_run_ends_and_leaves_no_backup(bao: Bao, vault_place: Make) -> None:
    place = vault_place()
    stop = threading.Event()
    stop.set()

    from include.recovery.sources.run_info import RunInfo

    with pytest.raises(LifeboatError, match="stopped"):
        place.verbs.backup(
            place.workspace, place.system, place.source, None, run=RunInfo(run_id="x", started_by="y"), stop=stop
        )
    assert place.backups() == []
