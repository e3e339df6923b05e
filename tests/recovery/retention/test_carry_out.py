"""Carrying a plan out in folders: what goes is recorded, what cannot go is named, and a second run finds nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from include.recovery.catalog import in_use
from include.recovery.catalog.model import Proof, ProofLevel
from include.recovery.copies import missing_copies
from include.recovery.errors import LeaseHeld, ObjectLocked, PolicyError, Refused, StoreUnavailable
from include.recovery.retention import carry_out as module
from include.recovery.retention.carry_out import RetentionFailed, carry_out, require_done
from include.recovery.retention.gather import decide, sources_of, stores_of
from include.recovery.retention.model import Clock
from include.recovery.retention.records import folder, last_run
from include.recovery.sources import RunInfo
from include.recovery.stores.folder import FolderStore

NOW = datetime.now(UTC).replace(microsecond=0)
RUN = RunInfo(run_id="retention-1", started_by="a test")


@pytest.fixture
def labdojo(folder_workspace):
    return folder_workspace.system("labdojo")


@pytest.fixture
def weekly(make_backup):
    """Nine weekly fulls, oldest first; the policy keeps four weeks and the running one."""
    return [make_backup(NOW - timedelta(weeks=8 - week, hours=1)) for week in range(9)]


@pytest.fixture
def retain(folder_workspace, labdojo):
    def retain(store="primary", **options):
        return carry_out(folder_workspace, labdojo, "main-db", store, run=RUN, **options)

    return retain


def ids(workspace, store="primary"):
    return [backup.manifest.id for backup in workspace.catalog(store).backups("labdojo")]


def outcomes(record):
    return [(done.backup.rpartition("/")[2], done.outcome) for done in record.done]


def test_what_goes_is_removed_and_recorded(folder_workspace, labdojo, weekly, retain):
    decided = decide(folder_workspace, labdojo, "main-db", "primary", Clock(NOW))
    going = [decision.row.id for decision in decided.plan.expired]
    assert 3 <= len(going) <= 5
    record = retain()
    assert outcomes(record) == [(name, "removed") for name in going]
    assert record.failures == ()
    require_done([record], "retention")
    assert ids(folder_workspace) == [backup.id for backup in weekly if backup.id not in going]
    store = folder_workspace.store("primary")
    (kept,) = [info.key for info in store.list(folder("labdojo", "primary", "main-db")) if info.key.endswith(".json")]
    found = json.loads(store.get(kept)[0])
    assert found["done"][0]["why"].startswith("no line of weekly-full wants it (newest 1, 4 weeks)")
    assert last_run(store, "labdojo", "main-db") == record.at
    again = retain()
    assert again.done == ()
    assert again.sentence == f"main-db in primary: nothing to remove; {9 - len(going)} backups kept"


def test_only_what_was_shown(folder_workspace, weekly, retain):
    record = retain(only={weekly[1].name})
    assert ("removed" in dict(outcomes(record)).values()) is True
    assert dict(outcomes(record))[weekly[0].id] == "waiting"
    assert dict(outcomes(record))[weekly[1].id] == "removed"
    assert weekly[0].id in ids(folder_workspace)


def test_one_that_is_read_stays_until_it_is_not(folder_workspace, weekly, retain):
    store = folder_workspace.store("primary")
    with in_use.in_use(store, weekly[0], "drill 7"):
        record = retain()
        assert weekly[0].id not in dict(outcomes(record))
        assert weekly[0].id in ids(folder_workspace)
    assert outcomes(retain()) == [(weekly[0].id, "removed")]


def test_a_failure_is_named_and_the_rest_goes(folder_workspace, weekly, retain, monkeypatch):
    delete = FolderStore.delete

    def fail(self, key, version=None):
        if weekly[0].id in key and "manifest" in key:
            raise ObjectLocked(f"{key} may not be deleted: AccessDenied")
        delete(self, key, version)

    monkeypatch.setattr(FolderStore, "delete", fail)
    record = retain()
    assert dict(outcomes(record))[weekly[0].id] == "failed"
    assert weekly[0].id in ids(folder_workspace)
    assert weekly[1].id not in ids(folder_workspace)
    with pytest.raises(RetentionFailed, match="expiry_connection"):
        require_done([record], "retention of labdojo")


def test_a_store_that_goes_away_ends_the_run_and_the_next_one_goes_on(folder_workspace, weekly, retain, monkeypatch):
    delete = FolderStore.delete

    def fail(self, key, version=None):
        if weekly[0].id in key and "/parts/" in key:
            raise StoreUnavailable("the service does not answer")
        delete(self, key, version)

    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, "delete", fail)
        record = retain()
    assert {outcome for _, outcome in outcomes(record)} == {"failed"}
    assert "not tried any more" in record.done[1].detail
    assert ids(folder_workspace) == [backup.id for backup in weekly[1:]]
    record = retain()
    assert outcomes(record)[0] == (weekly[0].id, "removed")
    assert record.done[0].detail == "resumed: removed"
    assert len(record.done) == len(outcomes(record)) >= 3
    assert list(folder_workspace.store("primary").list(weekly[0].prefix)) == []


def test_what_stays_must_really_be_there(folder_workspace, weekly, retain):
    store = folder_workspace.store("primary")
    folder_workspace.catalog().backups()
    store.delete(f"{weekly[-1].prefix}manifest.json")
    record = retain()
    assert record.refusal is not None
    assert f"lists backups that are not there: {weekly[-1].id}" in record.refusal
    assert len(ids(folder_workspace)) == 9
    with pytest.raises(Refused):
        require_done([record], "retention of labdojo")


def test_a_clock_that_is_behind_removes_nothing(folder_workspace, weekly, retain):
    record = retain(now=lambda: NOW - timedelta(days=300))
    assert record.done == ()
    assert "the clock is behind now" in record.sentence


def test_the_stores_own_clock_is_asked(folder_workspace, weekly, retain, monkeypatch):
    record = retain(now=lambda: NOW + timedelta(days=2))
    assert "one of them is wrong" in record.refusal
    assert len(ids(folder_workspace)) == 9


def test_two_runs_at_once(folder_workspace, labdojo, weekly, retain, monkeypatch):
    """The second is refused while the first one is at it."""
    met = []

    def meanwhile(*arguments, **options):
        with pytest.raises(LeaseHeld):
            carry_out(folder_workspace, labdojo, "main-db", "primary", run=RunInfo(run_id="other", started_by="eve"))
        met.append(True)
        return decide(*arguments, **options)

    monkeypatch.setattr(module, "decide", meanwhile)
    assert retain().failures == ()
    assert met == [True]


def test_what_was_removed_over_there_is_not_copied_again(folder_workspace, labdojo, make_backup, retain):
    """Primary keeps an old backup that was proven there; offsite has let its copy go, and gets no new one."""
    old = make_backup(NOW - timedelta(weeks=20), stores=("primary", "offsite"))
    proof = Proof(level=ProofLevel.IDENTICAL, ok=True, at=NOW, by="a drill", store="primary", detail="equal")
    folder_workspace.catalog().append_proof(old, proof)
    for week in range(6):
        make_backup(NOW - timedelta(weeks=5 - week, hours=1), stores=("primary", "offsite"))
    assert (old.id, "removed") in outcomes(retain("offsite"))
    retain("primary")
    assert old.id in ids(folder_workspace)
    assert old.id not in ids(folder_workspace, "offsite")
    assert missing_copies(labdojo, folder_workspace.catalog) == []


def test_sources_that_the_policy_no_longer_has_stay(folder_workspace, labdojo, weekly):
    without = labdojo.model_copy(update={"sources": ()})
    assert sources_of(without, folder_workspace.catalog()) == ("main-db",)
    assert stores_of(labdojo) == ("primary", "offsite")
    decided = decide(folder_workspace, without, "main-db", "primary", Clock(NOW))
    assert len(decided.plan.kept) == 9
    assert "the policy has no source main-db any more" in decided.plan.notes[0]


def test_dependants_first_and_one_that_stays_keeps_its_parent(make_backup, weekly, retain, monkeypatch):
    full = make_backup(NOW - timedelta(weeks=20))
    child = make_backup(NOW - timedelta(weeks=19, days=5), parent=full.id)
    asked = []

    def expire(workspace, backup, *, why, store, run):
        asked.append(backup.manifest.id)
        raise ObjectLocked("no")

    monkeypatch.setattr(module, "verbs", lambda kind: SimpleNamespace(expire=expire))
    record = retain()
    assert asked[0] == child.id
    assert full.id not in asked
    assert outcomes(record)[0] == (child.id, "failed")
    assert dict(outcomes(record))[full.id] == "waiting"
    (parent,) = [done for done in record.done if done.outcome == "waiting"]
    assert parent.detail == f"{child.id}, which needs it, is still there"


def test_a_kind_that_nobody_can_remove_is_a_failure(folder_workspace, weekly, retain, monkeypatch):
    def verbs(kind):
        raise PolicyError([f"a source of kind {kind!r} is unknown"])

    monkeypatch.setattr(module, "verbs", verbs)
    record = retain()
    assert {outcome for _, outcome in outcomes(record)} == {"failed"}
