"""The benchmarks' own arithmetic, and how they watch a command."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from include.recovery.objects.listing import by_key, parsed
from tests.benchmarks import listing_server
from tests.benchmarks.physical import _interleaved
from tests.benchmarks.processes import run, shell
from tests.benchmarks.results import GOALS, Goal, Result, faster, overhead, write

MIB = 1024 * 1024


def test_a_ratio_is_one_of_medians() -> None:
    result = faster("logical_restore", "classic", [10.0, 30.0, 20.0], [4.0, 100.0, 5.0], "more")

    assert result.ratio == 4
    assert result.detail == "5.00 s (4.00, 100.00, 5.00) against 20.00 s (10.00, 30.00, 20.00); more"


def test_goals_are_met_from_their_side() -> None:
    assert Goal(6).met(6)
    assert not Goal(6).met(5.99)
    assert Goal(1.1, at_most=True).met(1.1)
    assert not Goal(1.1, at_most=True).met(1.11)
    assert str(GOALS["memory_growth"]) == "at most 1.05"


def test_results_of_other_benchmarks_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write([Result("a", 1, "x", "old"), Result("b", 2, "x", "kept")], path)
    write([Result("a", 3, "x", "new")], path)

    assert json.loads(path.read_text()) == [
        {"name": "a", "ratio": 3, "baseline": "x", "detail": "new"},
        {"name": "b", "ratio": 2, "baseline": "x", "detail": "kept"},
    ]


def test_memory_is_that_of_the_whole_family() -> None:
    hold = "import time; data = bytearray(b'x') * (64 << 20); time.sleep(1)"
    script = f"import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {hold!r}]); {hold}; child.wait()"

    cost = run([sys.executable, "-c", script], os.environ, memory=True)

    assert 128 * MIB < cost.peak < 256 * MIB
    assert cost.seconds >= 1


def test_a_failure_in_the_middle_of_a_pipe_is_one() -> None:
    with pytest.raises(RuntimeError, match="failed"):
        shell("false | cat", os.environ)


def test_an_overhead_forgives_one_second() -> None:
    result = overhead("physical_backup_overhead", "plain", [20.0, 21.0, 19.0], [21.5, 21.6, 90.0])

    assert result.ratio == 1.03
    assert GOALS["physical_backup_overhead"].met(result.ratio)
    assert result.baseline == "plain, and 1 s"


def test_contenders_take_turns_in_beginning() -> None:
    ran: list[str] = []

    def contender(name: str, seconds: float) -> float:
        ran.append(name)
        return seconds

    found = _interleaved(
        3, lambda: contender("plain", 1), lambda: contender("ours", 2), lambda: ran.append("between")
    )

    assert found == ([1, 1, 1], [2, 2, 2])
    assert [name for name in ran if name != "between"] == ["plain", "ours", "ours", "plain", "plain", "ours"]
    assert ran[1::2] == ["between"] * 6


def test_a_bucket_that_nobody_has_filled_is_one_listing() -> None:
    pages = [parsed(listing_server.page(listing_server.DAMAGED, begin, 2500)) for begin in (0, 1000, 2000)]
    rows = [row for found, _ in pages for row in found]

    assert [following and following[0] for _, following in pages] == ["1000", "2000", None]
    assert [row for number in range(2500) for row in listing_server.now(number, listing_server.DAMAGED)] == rows
    assert [row.key for row in rows] == sorted(row.key for row in rows)
    live = {key: versions[0] for key, versions in by_key(rows, "here") if not versions[0].marker}
    before = {row.key: row for number in range(2500) if (row := listing_server.backed_up(number)) is not None}
    differing = {key for key in live.keys() | before.keys() if live.get(key) != before.get(key)}
    assert len(differing) == listing_server.changed(2500) == 75
    assert parsed(listing_server.page(listing_server.WHOLE, 0, 500))[0] == list(before.values())[:495]
