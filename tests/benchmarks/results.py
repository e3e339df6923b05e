"""What was measured, as a file for machines and a table for people."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).with_name("results.json")


@dataclass(frozen=True)
class Goal:
    """What a ratio is to be: at least, or at most."""

    limit: float
    at_most: bool = False

    def met(self, ratio: float) -> bool:
        """Whether it is."""
        return ratio <= self.limit if self.at_most else ratio >= self.limit

    def __str__(self) -> str:
        return f"{'at most' if self.at_most else 'at least'} {self.limit:g}"


GOALS = {
    "logical_backup_zstd1": Goal(6),
    "logical_backup_zstd3": Goal(4.5),
    "logical_restore": Goal(1.8),
    "logical_restore_stock": Goal(1.25),
    "one_table_restore": Goal(15),
    "one_table_bytes": Goal(1.1, at_most=True),
    "memory_growth": Goal(1.05, at_most=True),
    "fingerprint_vs_ids": Goal(0.7),
    "physical_backup_overhead": Goal(1.03, at_most=True),
    "physical_incremental_overhead": Goal(1.03, at_most=True),
    "physical_backup_vs_basebackup": Goal(4),
    "physical_restore_overhead": Goal(1.03, at_most=True),
    "restore_point_wait_ms": Goal(50, at_most=True),
    "delta_restore": Goal(3),
    "wal_push": Goal(2),
    "objects_per_second": Goal(1),
    "objects_memory_growth": Goal(1.05, at_most=True),
}


@dataclass(frozen=True)
class Result:
    """One line.

    :param ratio: how many times as fast as the baseline; for bytes and memory, how many times as much; for an overhead,
        how many times as long, one second forgiven; for a wait, milliseconds.
    :param baseline: what it is compared with.
    :param detail: the numbers behind the ratio.
    """

    name: str
    ratio: float
    baseline: str
    detail: str


def faster(name: str, baseline: str, classic: Sequence[float], ours: Sequence[float], more: str = "") -> Result:
    """How many times as fast, by the medians of interleaved rounds."""
    ratio = statistics.median(classic) / statistics.median(ours)
    detail = f"{_seconds(ours)} against {_seconds(classic)}"
    return Result(name, round(ratio, 2), baseline, f"{detail}; {more}" if more else detail)


def overhead(name: str, baseline: str, plain: Sequence[float], ours: Sequence[float]) -> Result:
    """How many times as long as without us, by the medians of interleaved pairs.

    One second is forgiven, which the catalog and its lease may take whatever the size.
    """
    ratio = (statistics.median(ours) - 1) / statistics.median(plain)
    return Result(name, round(ratio, 3), f"{baseline}, and 1 s", f"{_seconds(ours)} against {_seconds(plain)}")


def write(results: Iterable[Result], path: Path = RESULTS) -> None:
    """Keep the results; those of other benchmarks in the file stay."""
    kept = {entry["name"]: entry for entry in json.loads(path.read_text(encoding="utf-8"))} if path.exists() else {}
    kept |= {result.name: asdict(result) for result in results}
    path.write_text(json.dumps(list(kept.values()), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def show(results: Iterable[Result], console: Console) -> None:
    """A table, with the goals."""
    table = Table(title="Lifeboat against the classic scripts", title_justify="left")
    for heading in ("benchmark", "ratio", "goal", "baseline", "detail"):
        table.add_column(heading, justify="right" if heading == "ratio" else "left", overflow="fold")
    for result in results:
        goal = GOALS.get(result.name)
        style = "" if goal is None else ("green" if goal.met(result.ratio) else "red")
        table.add_row(result.name, f"{result.ratio:g}", str(goal or ""), result.baseline, result.detail, style=style)
    console.print(table)


def _seconds(values: Sequence[float]) -> str:
    each = ", ".join(f"{value:.2f}" for value in values)
    return f"{statistics.median(values):.2f} s ({each})" if len(values) > 1 else f"{values[0]:.2f} s"
