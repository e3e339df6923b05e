"""What proofs say about a backup and its copies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.catalog.model import Backup, Manifest, Proof, ProofLevel, Summary

START = datetime(2026, 11, 21, 7, tzinfo=UTC)
STORED, REPLICATED, RESTORED, IDENTICAL, VALIDATED = ProofLevel


def proof(level: ProofLevel, ok: bool = True, *, minute: int = 0, store: str = "primary") -> Proof:
    at = START + timedelta(minutes=minute)
    return Proof(level=level, ok=ok, at=at, by="drill", store=store, detail="checked")


def backup(*proofs: Proof, store: str = "primary") -> Backup:
    manifest = Manifest(
        system="labdojo",
        source="main-db",
        kind="postgres",
        id="20261121T070000Z-0a1b",
        started_by="ada",
        started_at=START,
        snapshot_at=START,
        finished_at=START,
        server_version="15",
        tool_versions={},
        parts=(),
        compression="zstd-3",
        fingerprint=None,
        fence=1,
    )
    return Backup(manifest=manifest, proofs=proofs, store=store)


def test_a_fresh_backup_is_stored_and_sound() -> None:
    fresh = backup()
    assert (fresh.level, fresh.damaged, fresh.proven_at) == (STORED, False, None)


def test_proofs_lift_it() -> None:
    lifted = backup(proof(REPLICATED, store="offsite"), proof(IDENTICAL, minute=1), proof(STORED, minute=2))
    assert lifted.level is IDENTICAL
    assert lifted.proven_at == START + timedelta(minutes=1)
    assert [lifted.level_in(store) for store in ("primary", "offsite", "local")] == [IDENTICAL, REPLICATED, STORED]


def test_trouble_with_one_copy_says_nothing_about_another() -> None:
    bad_news = proof(REPLICATED, ok=False, minute=5, store="offsite")
    torn = backup(proof(IDENTICAL), proof(REPLICATED, store="offsite"), bad_news)
    assert torn.level is IDENTICAL
    assert not torn.damaged
    assert torn.damage_in("offsite") is not None
    assert backup(*torn.proofs, store="offsite").damaged
    assert not backup(*torn.proofs, store="").damaged


def test_a_damaged_copy_counts_again_after_repair() -> None:
    broken = (proof(REPLICATED), proof(REPLICATED, ok=False, minute=1))
    assert backup(*broken).damaged
    assert backup(*broken, proof(STORED, minute=2)).damaged, "reading its bytes is less than what failed"
    assert not backup(*broken, proof(REPLICATED, minute=3)).damaged
    assert backup(*broken).level is STORED


def test_a_copy_that_restores_to_something_else_is_damaged() -> None:
    other = backup(proof(VALIDATED), proof(IDENTICAL, ok=False, minute=1))
    assert other.damaged
    assert other.level is RESTORED


def test_a_broken_rule_of_the_system_is_no_damage() -> None:
    invalid = backup(proof(IDENTICAL), proof(VALIDATED, ok=False, minute=1))
    assert not invalid.damaged
    assert invalid.level is IDENTICAL


@given(st.lists(st.tuples(st.sampled_from(list(ProofLevel)), st.booleans(), st.sampled_from(["primary", "offsite"]))))
def test_order_of_arrival_does_not_matter(steps: list[tuple[ProofLevel, bool, str]]) -> None:
    proofs = [proof(level, ok, minute=n, store=store) for n, (level, ok, store) in enumerate(steps)]
    forward, backward = backup(*proofs), backup(*reversed(proofs))
    assert (forward.level, forward.damaged) == (backward.level, backward.damaged)
    assert forward.level.rank >= forward.level_in("primary").rank


def test_a_summary_has_no_parts_to_restore_from() -> None:
    summary = backup().manifest.summary()  # type: ignore[union-attr]
    assert isinstance(summary, Summary)
    assert not hasattr(summary, "parts")
    assert summary.prefix == "labdojo/main-db/postgres/20261121T070000Z-0a1b/"
    assert Summary.model_validate_json(summary.model_dump_json()) == summary


@pytest.mark.parametrize("level", ProofLevel)
def test_levels_have_an_order(level: ProofLevel) -> None:
    assert list(ProofLevel)[level.rank] is level
