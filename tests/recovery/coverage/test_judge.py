"""From listings, backups and proofs to a report: what counts as proven, and what never does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.coverage.judge import Held, LiveTable, Proven, excused, judge
from include.recovery.coverage.model import Coverage, Found, SourceCoverage
from include.recovery.fingerprint.model import DatabaseFingerprint, TableFingerprint
from include.recovery.policy.platform_models import NotProtected

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
WINDOW = timedelta(days=35)
NAMES = ("public.a", "public.b", "public.c", "app.d", '"Odd Schema"."e f"')


def held(backup: str, *tables: str) -> Held:
    return Held(backup, dict.fromkeys(tables, 10), frozenset(name.split(".")[0].strip('"') for name in tables))


def proven(days: float, *tables: str, backup: str = "b") -> Proven:
    return Proven(NOW - timedelta(days=days), held(backup, *tables))


def states(live: list[str], newest: Held | None, *proofs: Proven) -> dict[str, str]:
    judged = judge(
        [LiveTable(name, 100) for name in live], ["public"], newest=newest, proven=proofs, now=NOW, window=WINDOW
    )
    return {table.name: table.state for table in judged.tables}


def test_a_table_is_proven_only_by_a_drill_that_has_seen_it_inside_the_window() -> None:
    assert states(["public.a", "public.b"], held("n", "public.a", "public.b"), proven(3, "public.a")) == {
        "public.a": "proven",
        "public.b": "backed up",
    }
    assert states(["public.a"], held("n", "public.a"), proven(35.01, "public.a")) == {"public.a": "stale"}
    assert states(["public.a"], held("n", "public.a"), proven(35, "public.a")) == {"public.a": "proven"}
    assert states(["public.a"], held("n", "public.a"), proven(-1, "public.a")) == {"public.a": "backed up"}
    assert states(["public.a"], None) == {"public.a": "new"}
    assert states(["public.a"], held("n"), proven(1, "public.b")) == {"public.a": "new"}


def test_what_is_left_out_on_purpose_is_named_and_does_not_count() -> None:
    judged = judge(
        [LiveTable("public.a", 100), LiveTable("public.cache", 900, "left out: rebuilt on start")], [],
        newest=held("n", "public.a"), proven=[proven(1, "public.a")], now=NOW, window=WINDOW,
    )  # fmt: skip
    source = SourceCoverage(system="s", source="m", kind="postgres", tables=judged.tables)
    assert source.share_of_bytes == source.share_of_tables == source.share_of_rows == 1.0
    assert source.unproven == ()
    assert [table.why for table in source.tables] == ["", "left out: rebuilt on start"]


def test_schemas_that_no_proven_backup_has_and_tables_that_are_gone_are_named() -> None:
    judged = judge(
        [LiveTable("public.a", 1)], ["public", "born"], newest=held("n", "public.a", "public.dropped"),
        proven=[proven(1, "public.a")], now=NOW, window=WINDOW,
    )  # fmt: skip
    assert (judged.new_schemas, judged.gone) == (("born",), ("public.dropped",))


def test_a_sampled_table_proves_nothing() -> None:
    table = TableFingerprint(rows=5, digest="1", columns=("id",))
    fingerprint = DatabaseFingerprint(
        server_version="15", definitions={"public": "x"}, sequences={}, large_objects=None, roles=None, grants=None,
        extensions={}, tables={"public.a": table, "public.b": table.model_copy(update={"coverage": "sampled"})},
    )  # fmt: skip
    assert Held.of("n", fingerprint) == Held("n", {"public.a": 5}, frozenset({"public"}))
    assert Held.of("n", None).rows == {}


tables = st.lists(st.sampled_from(NAMES), unique=True)
moments = st.integers(min_value=-10, max_value=80)
proofs = st.lists(st.tuples(moments, tables), max_size=5)


@given(live=tables, newest=st.none() | tables, proofs=proofs)
def test_for_any_listing_the_report_names_every_table_once_and_claims_no_proof_that_is_not_there(
    live: list[str], newest: list[str] | None, proofs: list[tuple[int, list[str]]]
) -> None:
    held_now = None if newest is None else held("n", *newest)
    given_proofs = [proven(days, *names, backup=str(number)) for number, (days, names) in enumerate(proofs)]
    judged = judge(
        [LiveTable(name, 1 + len(name)) for name in live], [], newest=held_now, proven=given_proofs, now=NOW,
        window=WINDOW,
    )  # fmt: skip
    assert [table.name for table in judged.tables] == sorted(live)
    for table in judged.tables:
        ages = [days for days, names in proofs if table.name in names and days >= 0]
        assert (table.state == "proven") == any(days <= WINDOW.days for days in ages)
        assert (table.state == "stale") == (bool(ages) and min(ages) > WINDOW.days)
        assert (table.state == "new") == (not ages and table.name not in (newest or ()))
        assert table.proven_at is None or table.proven_at == NOW - timedelta(days=min(ages))
    assert set(judged.gone) == set(newest or ()) - set(live)
    source = SourceCoverage(system="s", source="m", kind="postgres", tables=judged.tables)
    for share in (source.share_of_tables, source.share_of_bytes, source.share_of_rows):
        assert (share is None) == (not live)
        assert share is None or 0 <= share <= 1
    if live:
        assert (source.share_of_tables == 1.0) == (not source.unproven)
        assert source.unproven or source.share_of_rows == source.share_of_bytes == 1.0


@given(live=tables, proofs=proofs, more=st.tuples(moments, tables))
def test_another_proof_never_makes_less_proven(
    live: list[str], proofs: list[tuple[int, list[str]]], more: tuple[int, list[str]]
) -> None:
    before = states(live, None, *(proven(days, *names) for days, names in proofs))
    after = states(live, None, *(proven(days, *names) for days, names in [*proofs, more]))
    assert {name for name, state in before.items() if state == "proven"} <= {
        name for name, state in after.items() if state == "proven"
    }


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("database sandbox_*", True),
        ("database db.example.com:5432/sandbox_*", True),
        ("database other:5432/sandbox_*", False),
        ("bucket sandbox_*", False),
        ("sandbox_*", False),
    ],
)
def test_a_reason_of_the_platform_excuses_what_its_pattern_names(pattern: str, fits: bool) -> None:
    entries = [NotProtected(what=pattern, why="made anew each night")]
    found = Found(kind="database", where="db.example.com:5432", name="sandbox_7")
    assert excused(found, entries).alarming is not fits
    assert (excused(found, entries).on_purpose == "made anew each night") is fits
    protected = found.model_copy(update={"covered_by": ("shop/main-db",)})
    assert excused(protected, entries) == protected


def test_the_report_is_plain_data() -> None:
    found = Found(kind="bucket", where="AWS", name="uploads")
    report = Coverage(at=NOW, window_seconds=60, found=(found,), sources=(
        SourceCoverage(system="s", source="m", kind="postgres"),
    ))  # fmt: skip
    plain = report.plain()
    assert plain["unprotected"] == [
        "bucket uploads of AWS is in no policy, so nobody backs it up; add a source for it, or say in 'not_protected' "
        "of platform.yaml why it may be lost"
    ]
    assert plain["sources"][0]["share_of_tables"] is None  # type: ignore[index]
