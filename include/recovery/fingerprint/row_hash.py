"""The SQL that hashes the rows of a table: whole rows, two seeds, any order, flat memory, parallel.

Each row becomes 64 bits that depend on every bit of it: the exclusive or of a hash of each column, in a seed of the
column's own (columns whose hash function SQL cannot call go into one record and its hash). That is linear in the
columns, so a plain sum of it would not change when the values of a column are permuted among rows. Therefore it is
mixed once more, in no linear way, in two seeds, and both results are summed over all rows: 128 bits that do not depend
on the order of the rows, in which two equal rows do not cancel.

A changed row goes unseen with a probability of 2**-64. This guards against accidents; against forgery stand the
authenticated encryption of the parts and the seal of the manifest.

The subquery ends in ``OFFSET '0'`` so that the planner does not pull it up: each row is hashed (and its long values are
fetched from TOAST and decompressed) once. It must be a constant from the start ('0', not 0) for parallel plans to stay
possible.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TypeAlias

from include.recovery.fingerprint.columns import Column, in_name_order, row_expression
from include.recovery.fingerprint.model import Mode

SEEDS = (0x4C69_6665_626F_6174, 0x5265_636F_7665_7279)
SKETCH_BITS = 0x0101_0101_0101_0101
"""One bit in each byte of a row's hash; the sum of these over all rows tells about how many rows differ (``sketch``)."""

_COLUMN_STEP = 0x9E37_79B9
_SAMPLE_STEPS = 1 << 20

Sums: TypeAlias = tuple[int, Decimal | int, Decimal | int, Decimal | int]
"""Rows, both sums of mixed hashes, and the sum for the sketch."""


def table_query(
    table: str, columns: tuple[Column, ...], *, mode: Mode = "record", sample: float = 1.0, key: tuple[Column, ...] = ()
) -> str:
    """The query that returns the ``Sums`` of a table.

    :param table: qualified and quoted.
    :param sample: share of the rows that are hashed, chosen by a hash of their key; 1 for all.
    :param key: the columns of the primary key; needed for a sample.
    """
    rows = f"SELECT {row_hash(columns, mode)} AS h FROM ONLY {table}"
    if sample < 1:
        # By a hash of the key and not by where a row lies: the same rows on every server.
        rows += f" WHERE (({row_hash(key, mode)}) >> 20) & {_SAMPLE_STEPS - 1} < {round(sample * _SAMPLE_STEPS)}"
    return sums(rows)


def sums(hashes: str) -> str:
    """The ``Sums`` over a query that returns ``h`` for each row."""
    first, second = (f"coalesce(sum(pg_catalog.hashint8extended({seed}, h)), 0)" for seed in SEEDS)
    return (
        f"SELECT count(*), {first}, {second}, coalesce(sum(h & {SKETCH_BITS}), 0) FROM ({hashes} OFFSET '0') AS hashes"
    )


def row_hash(columns: Sequence[Column], mode: Mode) -> str:
    """SQL: a 64-bit hash of a row of columns, whatever their order."""
    terms, rest = [], []
    for number, column in enumerate(in_name_order(columns)):
        seed = SEEDS[0] + number * _COLUMN_STEP
        hashed = column.hashed(seed)
        if hashed is None:
            rest.append(column)
        else:
            terms.append(f"coalesce({hashed}, {seed})")
    if rest or not terms:
        terms.append(record_hash(row_expression(rest), mode))
    return " # ".join(terms)


def record_hash(row: str, mode: Mode) -> str:
    """SQL: a 64-bit hash of a record, of its text where the server has no hash for records."""
    if mode == "record":
        return f"pg_catalog.hash_record_extended({row}, {SEEDS[0]})"
    return f'pg_catalog.hashtextextended(pg_catalog.textin(pg_catalog.record_out({row})) COLLATE "C", {SEEDS[0]})'


def combine(parts: Iterable[Sums]) -> tuple[int, str, str]:
    """Rows, digest and sketch from the sums of one or more queries.

    The digest holds both sums modulo 2**64: 128 bits as 32 hex digits.
    """
    count = first = second = sketch = 0
    for part in parts:
        count, first, second, sketch = (
            total + int(more) for total, more in zip((count, first, second, sketch), part, strict=True)
        )
    return count, f"{first % 2**64:016x}{second % 2**64:016x}", f"{sketch:x}"
