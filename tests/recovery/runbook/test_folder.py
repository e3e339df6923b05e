"""A run's folder: what was done is not done again, and every phase leaves its time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from include.recovery.errors import LifeboatError, StoreUnavailable
from include.recovery.evidence.model import Outcome
from include.recovery.runbook.folder import RunFolder
from include.recovery.stores.folder import FolderStore


@pytest.fixture
def folder(tmp_path, plan):
    return RunFolder(FolderStore("primary", tmp_path / "store"), "labdojo", plan().run)


@pytest.fixture
def clock(now):
    seconds = iter(range(1000))
    return lambda: now + timedelta(seconds=next(seconds))


def test_a_step_is_done_once(folder, clock):
    calls = []

    def swap(resumed):
        calls.append(resumed)
        return {"safety_copy": "labdojo_before"}

    first = folder.once("swap main-db", swap, clock)
    again = folder.once("swap main-db", swap, clock)
    assert calls == [False]
    assert first == again
    assert folder.done("swap main-db").detail == {"safety_copy": "labdojo_before"}


def test_a_step_whose_try_died_is_told_so(folder, clock):
    def dies(resumed):
        raise StoreUnavailable("gone")

    with pytest.raises(StoreUnavailable):
        folder.once("swap", dies, clock)
    assert folder.done("swap") is None
    assert folder.once("swap", lambda resumed: {"resumed": resumed}, clock).detail == {"resumed": True}


def test_the_newest_plan_is_in_force_until_the_run_has_begun(folder, plan, signer, now):
    first, second = plan(), plan(made_at=now + timedelta(seconds=5))
    assert folder.save_plan(first) == first
    assert folder.save_plan(first) == first
    assert folder.save_plan(second) == second
    assert folder.plan() == second
    begun = folder.begin(second, signer, now)
    assert begun.genuine(signer.verifier)
    assert folder.begin(second, signer, now + timedelta(hours=1)) == begun
    assert folder.save_plan(plan(made_at=now + timedelta(hours=1))) == second
    with pytest.raises(LifeboatError, match="this folder is of labdojo"):
        folder.save_plan(plan(run="another"))


def test_no_plan_is_said(folder):
    with pytest.raises(LifeboatError, match="has no plan in store primary"):
        folder.plan()


def test_the_timeline_holds_every_phase_however_it_ended(folder, clock):
    with folder.phase("declare", clock) as notes:
        notes.note = "incident 7"
    with folder.phase("provision", clock) as notes:
        notes.skip("nothing to provision in this scenario")
    with pytest.raises(LifeboatError), folder.phase("restore", clock):
        raise LifeboatError("part rest is damaged")
    with folder.phase("restore", clock, attempt=2):
        pass
    assert [(p.name, p.outcome, p.note) for p in folder.timeline()] == [
        ("declare", Outcome.PASSED, "incident 7"),
        ("provision", Outcome.SKIPPED, "nothing to provision in this scenario"),
        ("restore", Outcome.FAILED, "part rest is damaged"),
        ("restore", Outcome.PASSED, ""),
    ]


def test_an_unexpected_error_leaves_no_text_in_the_timeline(folder, clock):
    with pytest.raises(ValueError, match="secret"), folder.phase("restore", clock):
        raise ValueError("password=secret")
    assert folder.timeline()[0].note == "ValueError"
