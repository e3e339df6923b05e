"""A real cluster: backed up, restored to a server of its own, opened, compared, put back."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from include.recovery.content import scratch_process
from include.recovery.content.port import Selection
from include.recovery.errors import CopyLost
from include.recovery.evidence.model import Outcome
from include.recovery.vault import put_back as putting
from tests.fixtures.content import ContentPlace
from tests.integration.vault.conftest import Bao

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

Make = Callable[..., ContentPlace]


@pytest.mark.demand("A4", emulated="HashiCorp Vault by OpenBao")
def test_an_opened_copy_holds_every_secret_policy_and_mount(bao: Bao, vault_place: Make) -> None:
    place = vault_place(*bao.keys[:2], present=["kv/secret/shop/", "policy/shop"])
    assert "drills open the copy" in place.verbs.precheck(place.workspace, place.system, place.source)

    backup, folder = place.prove()

    names = {item.name for item in place.impl.items(place.site, folder)}
    assert {"auth/approle/", "kv/old/plain", "kv/secret/shop/db", "kv/secret/shop/deep/er", "kv/secret/ünïcode name",
            "mount/secret/", "policy/shop", "snapshot/position", "snapshot/state"} <= names  # fmt: skip
    assert all(check.outcome is Outcome.PASSED for check in place.verbs.validate(place.workspace, backup, folder))
    assert backup.manifest.left_out[0].what == "unseal keys"
    assert "two of three, in the safe" in backup.manifest.left_out[0].why
    uncovered = {each.object for each in backup.manifest.content.not_compared}  # type: ignore[union-attr]
    assert uncovered == {"other engines and methods", "namespaces"}


def test_no_secret_leaves_the_server_and_an_opened_copy_reaches_nobody(bao: Bao, vault_place: Make) -> None:
    place = vault_place(*bao.keys[:2])

    backup = place.back_up()
    folder = place.copy(backup)

    again = place.back_up()
    told = [(item.name, item.digest) for item in place.impl.items(place.site, folder)]
    assert "second" not in json.dumps(told)
    assert bao.keys[0] not in backup.manifest.model_dump_json()
    # The same secrets, and other digests: the key is the backup's own.
    assert again.manifest.content.sha512 != backup.manifest.content.sha512  # type: ignore[union-attr]
    assert stat.S_IMODE((folder / "copy.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "snapshot").stat().st_mode) == 0o600

    # The copy would end leases where they were given, so it reaches nobody.
    process = scratch_process.attach(folder)
    assert process is not None
    assert Path(f"/proc/{process.pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    routes = Path(f"/proc/{process.pid}/net/route").read_text().splitlines()
    assert len(routes) == 1, "only the heading"
    scratch_process.end(folder, grace=0)
    with pytest.raises(CopyLost, match="has died; restore again"):
        place.compare(backup, folder)
    place.verbs.discard(folder)
    assert not folder.exists()


def test_without_unseal_keys_only_the_sealed_state_is_compared_and_that_is_said(bao: Bao, vault_place: Make) -> None:
    place = vault_place()

    backup, folder = place.prove()

    assert [item.name for item in place.impl.items(place.site, folder)] == ["snapshot/position", "snapshot/state"]
    (uncovered,) = backup.manifest.content.not_compared  # type: ignore[union-attr]
    assert "unproven" in uncovered.why
    comparison = place.compare(backup, folder)
    assert comparison.not_compared == (uncovered,)
    assert place.verbs.validate(place.workspace, backup, folder) == []


def test_putting_back_brings_the_old_secrets_and_keeps_the_present_aside(
    bao: Bao, vault_place: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(putting, "_SETTLES", 2)  # its keys are the same
    place = vault_place(*bao.keys[:2])
    backup = place.back_up()
    bao.secret("shop/db", user="nobody", password="damaged")
    bao.call("DELETE", "secret/metadata/shop/mail")
    bao.secret("new", user="later")

    seen = {(change.name, change.how) for change in place.verbs.preview(place.workspace, backup)}
    assert seen == {
        ("kv/secret/shop/db", "content"), ("kv/secret/shop/mail", "missing"), ("kv/secret/new", "unexpected"),
        ("snapshot/position", "content"), ("snapshot/state", "content"),
    }  # fmt: skip
    done = place.verbs.put_back(place.workspace, backup, leave=place.site.name)

    assert bao.value("shop/db") == {"user": "shop", "password": "second"}
    assert bao.value("shop/mail")["user"] == "shop/mail"
    assert "new" not in bao.call("GET", "secret/metadata?list=true")["data"]["keys"]
    assert done.changed == 5
    aside = Path(done.aside)
    assert stat.S_IMODE(aside.stat().st_mode) == 0o600
    with aside.open("rb") as file:
        bao_restore(bao, file.read())
    assert bao.value("shop/db")["password"] == "damaged"


def test_after_a_rekey_older_backups_open_with_the_keys_of_then(
    bao: Bao, vault_place: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(putting, "_SETTLES", 8)
    place = vault_place(*bao.keys[:2])
    backup = place.back_up()
    old = bao.keys
    made = bao.call("PUT", "sys/rotate/root/init", {"secret_shares": 3, "secret_threshold": 2})["data"]
    for key in old[:2]:
        answer = bao.call("PUT", "sys/rotate/root/update", {"key": key, "nonce": made["nonce"]})["data"]
    bao.keys = tuple(answer["keys"])
    assert bao.keys != old

    only = Selection(("kv/secret/shop/",))
    found = place.compare(backup, place.copy(backup, only), only)

    # The policy's keys are those of the time of the backup; and a selection is compared alone.
    assert (found.identical, found.compared_rows) == (True, 3)
    done = place.verbs.put_back(place.workspace, backup, leave=place.site.name)
    assert done.notes == ("its unseal keys are those of the time of the backup, also where they were changed since",)
    bao.call("PUT", "sys/seal")
    bao.keys = old
    bao.unseal()
    assert bao.value("shop/db")["password"] == "second"


def bao_restore(bao: Bao, data: bytes) -> None:
    """By hand, as ``docs/format.md`` says it."""
    import httpx

    headers = {"X-Vault-Token": bao.token}
    answer = httpx.post(f"{bao.url}/v1/sys/storage/raft/snapshot-force", content=data, headers=headers, trust_env=False)
    assert answer.is_success, answer.text
