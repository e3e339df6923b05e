"""Lifeboat against the classic scripts, in the same run, on the same machine, in interleaved rounds.

    make bench                              everything, on a database of 2 GiB: about half an hour
    make bench ARGS="--scale 1 --rounds 1"  a quick look
    make bench ARGS="--only cluster-backup cluster-restore"
                                            only these: what Lifeboat adds to pgBackRest
    make bench ARGS="--only objects"        a bucket of 100,000 objects

Prints a table and writes ``tests/benchmarks/results.json``. Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from tests.benchmarks import objects, physical
from tests.benchmarks.contenders import Classic, Lifeboat
from tests.benchmarks.results import RESULTS, Result, faster, show, write
from tests.benchmarks.world import DATABASE, SMALL_DATABASE, World, empty_buckets, make_database, world

MIB = 1024 * 1024
LOGICAL = ("backup", "restore", "table", "fingerprint")
GROUPS = (*LOGICAL, "memory", *physical.GROUPS, *objects.GROUPS)
Samples = defaultdict[str, list[float]]


def main() -> None:
    """Measure and tell."""
    options = _options()
    console = Console()
    results: list[Result] = []
    if {*LOGICAL, "memory", *physical.GROUPS} & set(options.only):
        results += _databases(options, console)
    if set(objects.GROUPS) & set(options.only):
        console.print("objects: a bucket of many ...")
        results += objects.measure(options.rounds, console.print)
    write(results, options.results)
    show(results, console)
    console.print(f"written to {options.results}")


def _databases(options: argparse.Namespace, console: Console) -> list[Result]:
    """Everything over a generated database."""
    with world() as made:
        console.print(f"servers run in {made.directory}; filling the database (scale {options.scale}) ...")
        size = make_database(made, DATABASE, options.scale)
        console.print(f"the database has {size / MIB:,.0f} MiB")
        samples: Samples = defaultdict(list)
        for number in range(1, options.rounds + 1) if set(LOGICAL) & set(options.only) else ():
            for line in _round(made, samples, options.only):
                console.print(f"round {number}: {line}")
            if number < options.rounds:
                empty_buckets(made)
        results = [*_timed(samples), *_bytes(samples)]
        if "memory" in options.only:
            console.print("memory: a backup and a restore of this database and of one a tenth as large ...")
            small = make_database(made, SMALL_DATABASE, max(options.scale // 10, 1))
            results.append(_memory(made, size, small))
        if set(physical.GROUPS) & set(options.only):
            console.print("the cluster: archiving, and a first full backup ...")
            results += physical.measure(made, options.only, options.pairs, console.print)
        return results


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--scale", type=int, default=10, help="size of the database in fifths of a GiB (default 10)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; medians are taken over them (default 3)")
    parser.add_argument("--pairs", type=int, default=5, help="pairs of the cluster's benchmarks (default 5)")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS, help="measure only these")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the file to write (default beside this one)")
    return parser.parse_args()


def _round(made: World, samples: Samples, only: list[str]) -> Iterator[str]:
    """One of each, classic and ours in turn."""
    classic, ours = Classic(made), Lifeboat(made)

    def note(name: str, value: float) -> str:
        samples[name].append(value)
        return f"{name} {value:.2f}"

    if {"backup", "restore", "table"} & set(only):
        yield note("classic backup", classic.backup().seconds)
        note("classic size", classic.file.stat().st_size)
        for level in (1, 3):
            cost, manifest = ours.backup(level)
            yield note(f"zstd{level} backup", cost.seconds)
            note(f"zstd{level} size", manifest["stored_size"])
    if "restore" in only:
        for profile, target in (("drill", made.drill), ("stock", made.stock)):
            yield note(f"classic {profile}", classic.restore(target, "classic").seconds)
            yield note(f"our {profile}", ours.restore(profile, target, "ours").seconds)
    if "table" in only:
        yield note("classic table", classic.one_table(made.stock, "classic").seconds)
        cost, fetched, stored = ours.one_table(made.source.with_database(DATABASE), "beside")
        yield note("our table", cost.seconds)
        note("fetched", fetched)
        note("object", stored)
    if "fingerprint" in only:
        yield note("ids", classic.ids().seconds)
        yield note("fingerprint", ours.fingerprint().seconds)


def _timed(samples: Samples) -> Iterator[Result]:
    script = "pg_dump | gzip > file; aws s3 cp"
    for level in (1, 3):
        if f"zstd{level} backup" in samples:
            ratio = statistics.median(samples[f"zstd{level} size"]) / statistics.median(samples["classic size"])
            size = f"{samples[f'zstd{level} size'][-1] / MIB:,.0f} MiB stored, {ratio:.2f} of gzip's"
            yield faster(
                f"logical_backup_zstd{level}", script, samples["classic backup"], samples[f"zstd{level} backup"], size
            )
    for name, profile in (("logical_restore", "drill"), ("logical_restore_stock", "stock")):
        if f"our {profile}" in samples:
            baseline = f"gunzip -c file | psql, on {profile} settings too"
            yield faster(name, baseline, samples[f"classic {profile}"], samples[f"our {profile}"])
    if "our table" in samples:
        baseline = "gunzip -c file | sed -n '/^COPY/,...' | psql"
        yield faster("one_table_restore", baseline, samples["classic table"], samples["our table"])
    if "ids" in samples:
        baseline = "SELECT md5(string_agg(id::text, '' ORDER BY id)) of each table"
        yield faster("fingerprint_vs_ids", baseline, samples["ids"], samples["fingerprint"])


def _bytes(samples: Samples) -> Iterator[Result]:
    if "fetched" in samples:
        fetched, stored = samples["fetched"][-1], samples["object"][-1]
        detail = f"{fetched:,.0f} bytes fetched, {stored:,.0f} in the table's object"
        yield Result("one_table_bytes", round(fetched / stored, 3), "size of the table's object", detail)


def _memory(made: World, large: int, small: int) -> Result:
    """Peak memory of our processes, PostgreSQL's backends not among them, on two sizes."""
    ours = Lifeboat(made)
    peaks: dict[str, list[int]] = {}
    for database in (SMALL_DATABASE, DATABASE):
        backup, _ = ours.backup(3, database, memory=True)
        restore = ours.restore("drill", made.drill, "ours", database=database, memory=True)
        peaks[database] = [backup.peak, restore.peak]
    growths = [after / before for before, after in zip(peaks[SMALL_DATABASE], peaks[DATABASE], strict=True)]
    both = [f"{peak / MIB:.0f} MiB" for peak in peaks[DATABASE] + peaks[SMALL_DATABASE]]
    detail = (
        f"2 streams: backup {both[0]}, restore {both[1]} at {large / MIB:,.0f} MiB of database; "
        f"{both[2]} and {both[3]} at {small / MIB:,.0f} MiB"
    )
    return Result("memory_growth", round(max(growths), 3), "a database a tenth as large", detail)


if __name__ == "__main__":
    main()
