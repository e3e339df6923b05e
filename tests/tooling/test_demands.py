"""Demands: unknown ids fail the run, results are kept, and what is proven is told truly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.demands import (
    DEMANDS_FILE,
    Claim,
    Demand,
    Result,
    claims_of,
    read_demands,
    read_results,
    standings,
    write_results,
)
from tests.fixtures.demands_report import page, summary

ROOT = Path(__file__).parents[2]
INI = "[pytest]\nmarkers = demand: d\n"
WHEN = "2026-11-21T09:30:00+00:00"


def run(folder: Path, test: str, *arguments: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Result]]:
    """Pytest with the plugin in a process and a folder of its own, and the results that it kept."""
    (folder / "pytest.ini").write_text(INI, encoding="utf-8")
    (folder / "test_it.py").write_text(f"import pytest\n{test}", encoding="utf-8")
    results = folder / "results" / "demands.json"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LIFEBOAT_DEMANDS": str(results)}
    environment.pop("LIFEBOAT_DEMANDS_COLLECTED", None)
    command = [sys.executable, "-m", "pytest", "-p", "tests.fixtures.demands_plugin", "-q", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done, read_results(results)


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["alone", "in parallel"])
def test_results_are_kept(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    test = """
@pytest.mark.demand("K4", "K8")
def test_good(): pass
@pytest.mark.demand("K1", emulated="RDS by moto")
@pytest.mark.parametrize("n", [1, 2])
def test_bad(n): assert n == 1
@pytest.mark.demand("L24")
def test_skipped(): pytest.skip("not here")
@pytest.fixture
def broken(): raise RuntimeError
@pytest.mark.demand("R1")
def test_without_set_up(broken): pass
@pytest.fixture
def torn(): yield; raise RuntimeError
@pytest.mark.demand("R4")
def test_without_tear_down(torn): pass
def test_other(): pass
"""
    done, results = run(tmp_path, test, *arguments)

    assert done.returncode == 1
    assert {name.removeprefix("test_it.py::"): (row.outcome, row.claims) for name, row in results.items()} == {
        "test_good": ("passed", (Claim("K4"), Claim("K8"))),
        "test_bad[1]": ("passed", (Claim("K1", "RDS by moto"),)),
        "test_bad[2]": ("failed", (Claim("K1", "RDS by moto"),)),
        "test_skipped": ("skipped", (Claim("L24"),)),
        "test_without_set_up": ("failed", (Claim("R1"),)),
        "test_without_tear_down": ("failed", (Claim("R4"),)),
    }


def test_the_next_run_adds_to_the_results(tmp_path: Path) -> None:
    test = '@pytest.mark.demand("K4")\ndef test_one(): {}\n@pytest.mark.demand("K8")\ndef test_two(): {}\n'
    run(tmp_path, test.format("assert 0", "assert 0"))

    _, results = run(tmp_path, test.format("pass", "pass"), "-k", "test_one")

    assert [row.outcome for row in results.values()] == ["passed", "failed"]


@pytest.mark.parametrize(
    "arguments", [(), ("-n", "2"), ("--collect-only",)], ids=["alone", "in parallel", "collecting"]
)
def test_an_unknown_id_fails_the_run(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done, results = run(tmp_path, '@pytest.mark.demand("Z99")\ndef test_it(): pass\n', *arguments)

    assert done.returncode != 0
    assert "demand 'Z99' is unknown; known are the ids in tests/demands.yaml" in done.stdout + done.stderr
    assert results == {}


def test_results_that_cannot_be_kept_fail_nothing(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("in the way", encoding="utf-8")

    done, _ = run(tmp_path, '@pytest.mark.demand("K4")\ndef test_it(): pass\n')

    assert done.returncode == 0
    assert "results for `make demands` are not kept" in done.stdout


def test_a_mark_needs_an_id_and_takes_nothing_strange() -> None:
    known = read_demands()
    for mark in (pytest.mark.demand(), pytest.mark.demand("K4", emulatd="x")):
        with pytest.raises(ValueError, match="write @pytest.mark.demand"):
            claims_of([mark.mark], known)


def test_all_rows_of_the_documents_are_there() -> None:
    demands = read_demands()

    assert len(demands) == 90
    assert all(demand.text and demand.proof and demand.system for demand in demands.values())
    assert DEMANDS_FILE.name == "demands.yaml"


DEMAND = Demand("K4", "KSRCE", "find the last known good state", "picker skips")


@pytest.mark.parametrize(
    ("rows", "grade", "why"),
    [
        ({}, "open", "no test proves it yet"),
        ({"t::a": Result((Claim("K4"),), "passed", WHEN)}, "real", ""),
        ({"t::a": Result((Claim("K4", "RDS by moto"),), "passed", WHEN)}, "emulated", "RDS by moto"),
        (
            {"t::a": Result((Claim("K4"),), "passed", WHEN), "t::b": Result((Claim("K4", "x"),), "passed", WHEN)},
            "emulated",
            "x",
        ),
        ({"t::a": Result((Claim("K4"),))}, "open", "not all tests that prove it have run"),
        ({"t::a": Result((Claim("K4"),), "skipped", WHEN)}, "open", "not all tests that prove it have run"),
        (
            {"t::a[1]": Result((Claim("K4"),), "passed", WHEN), "t::a[2]": Result((Claim("K4"),), "failed", WHEN)},
            "open",
            "a test that proves it failed",
        ),
    ],
)
def test_the_grade_is_never_better_than_the_results(rows: dict[str, Result], grade: str, why: str) -> None:
    (standing,) = standings({"K4": DEMAND}, rows)

    assert (standing.grade, standing.why) == (grade, why)


def test_the_page_shows_every_demand_with_its_tests() -> None:
    rows = standings({"K4": DEMAND}, {"tests/t.py::test_a[1]": Result((Claim("K4"),), "passed", WHEN)})

    assert summary(rows) == "1 demands: 1 real, 0 emulated, 0 open"
    assert "| K4 | find the last known good state | `t.py::test_a` | passed | **real** |" in page(rows)


def test_results_survive_writing_and_rubbish_is_no_result(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "demands.json"
    rows = {"t::a": Result((Claim("K4", "x"),), "passed", WHEN)}
    write_results(file, rows)

    assert read_results(file) == rows
    file.write_text(json.dumps({"t": 1}), encoding="utf-8")
    assert read_results(file) == {}
