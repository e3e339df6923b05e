"""The SQL that hashes the rows of a table: whole rows, two seeds, any order, flat memory, parallel.

Each row is hashed as a record: 64 bits that depend on every bit of it. The record hash is linear over the columns, so a
plain sum of it does not change when the values of a column are permuted among rows. Therefore it is mixed once more, in
no linear way, in two seeds, and both results are summed over all rows: 128 bits that do not depend on the order of the
rows, in which two equal rows do not cancel as they would in an exclusive or.

A changed row goes unseen with a probability of 2**-64. This guards against accidents; against forgery stand the
authenticated encryption of the parts and the seal of the manifest.

The subquery ends in ``OFFSET '0'`` so that the planner does not pull it up: each row is formed (and its long values are
fetched from TOAST and decompressed) once. It must be a constant from the start ('0', not 0) for parallel plans to stay
possible.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TypeAlias

from include.recovery.fingerprint.columns import Column, row_expression
from include.recovery.fingerprint.model import Mode

SEEDS = (0x4C69_6665_626F_6174, 0x5265_636F_7665_7279)
BUCKETS = 32
_SAMPLE_STEPS = 1 << 20


def table_query(
    table: str, columns: tuple[Column, ...], *, mode: Mode = "record", sample: float = 1.0, key: tuple[Column, ...] = ()
) -> str:
    """The query that returns, for each bucket, (bucket, rows, hashed rows, sum, sum).

    :param table: qualified and quoted.
    :param sample: share of the rows that are hashed, chosen by a hash of their key; 1 for all.
    :param key: the columns of the primary key; needed for a sample.
    """
    rows = f"SELECT {row_hash(row_expression(columns), mode)} AS h FROM ONLY {table}"
    if sample < 1:
        rows += f" WHERE {sampled(key, sample, mode)}"
    return bucket_sums(rows)


def bucket_sums(hashes: str) -> str:
    """Sums of both mixed hashes by bucket, over a query that returns ``h`` for each row."""
    first, second = (f"sum(pg_catalog.hashint8extended({seed}, h))" for seed in SEEDS)
    return (
        f"SELECT (h & {BUCKETS - 1})::integer, count(*), {first}, {second}"
        f" FROM ({hashes} OFFSET '0') AS hashes GROUP BY 1"
    )


def row_hash(row: str, mode: Mode) -> str:
    """SQL: a 64-bit hash of a record, of its text where the server has no hash for records."""
    if mode == "record":
        return f"pg_catalog.hash_record_extended({row}, {SEEDS[0]})"
    return f'pg_catalog.hashtextextended(pg_catalog.textin(pg_catalog.record_out({row})) COLLATE "C", {SEEDS[0]})'


def sampled(key: tuple[Column, ...], sample: float, mode: Mode) -> str:
    """SQL: the condition that picks the same rows on every server, by a hash of the key and not by where a row lies."""
    return f"({row_hash(row_expression(key), mode)} >> 20) & {_SAMPLE_STEPS - 1} < {round(sample * _SAMPLE_STEPS)}"


BucketRow: TypeAlias = tuple[int, int, Decimal | int, Decimal | int]


def combine(rows: Sequence[BucketRow]) -> tuple[int, str, str]:
    """Rows, digest and buckets from the answer of ``table_query``.

    The digest holds both sums modulo 2**64, 128 bits as 32 hex digits; the buckets 16 bits of each bucket's sum.
    """
    count = sum(int(row[1]) for row in rows)
    digest = f"{_modulo(row[2] for row in rows):016x}{_modulo(row[3] for row in rows):016x}"
    checks = [0] * BUCKETS
    for bucket, _, first, second in rows:
        checks[bucket] += (int(first) << 1) + int(second)
    return count, digest, "".join(f"{check >> 16 & 0xFFFF:04x}" for check in checks)


def _modulo(sums: Iterable[Decimal | int]) -> int:
    return sum(int(value) for value in sums) % 2**64
