"""What differs between the rows of two tables, by their fingerprints, and in how many rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from include.recovery.fingerprint.model import DatabaseFingerprint, Difference, TableFingerprint

_BUCKET_DIGITS = 4


def table_differences(
    expected: DatabaseFingerprint, actual: DatabaseFingerprint, pairs: Mapping[str, str], *, whole: bool
) -> Iterator[Difference]:
    """What differs in the tables.

    :param pairs: name in the backup to name in the copy.
    :param whole: whether tables that only the copy has are differences.
    """
    for name, other in pairs.items():
        if name not in expected.tables:
            yield Difference(
                object=name,
                kind="coverage",
                message=f"{name} has no fingerprint in the backup, so nothing says whether its rows are right",
            )
        elif other not in actual.tables:
            yield Difference(
                object=name,
                kind="missing",
                message=f"{other} is missing in the copy; "
                f"the backup has it with {rows_in_words(expected.tables[name].rows)}",
            )
        else:
            yield from _one_table(other, expected.tables[name], actual.tables[other])
    if whole:
        for other in sorted(actual.tables.keys() - set(pairs.values())):
            found = rows_in_words(actual.tables[other].rows)
            yield Difference(
                object=other,
                kind="unexpected",
                message=f"{other} is in the copy with {found}, and not in the backup",
            )


def _one_table(name: str, expected: TableFingerprint, actual: TableFingerprint) -> Iterator[Difference]:
    if expected.columns != actual.columns:
        lacking = ", ".join(sorted(set(expected.columns) - set(actual.columns))) or "none"
        added = ", ".join(sorted(set(actual.columns) - set(expected.columns))) or "none"
        yield Difference(
            object=name,
            kind="content",
            message=f"{name} has other columns in the copy (missing: {lacking}; unexpected: {added})",
        )
    elif expected.coverage != actual.coverage:
        yield Difference(
            object=name,
            kind="coverage",
            message=f"{name} cannot be compared: its coverage is {expected.coverage} in the backup, {actual.coverage} "
            "in the copy",
        )
    elif expected.rows != actual.rows:
        fewer = expected.rows - actual.rows
        change = f"{rows_in_words(fewer)} missing" if fewer > 0 else f"{rows_in_words(-fewer)} too many"
        yield Difference(
            object=name,
            kind="rows",
            message=f"{name} has {rows_in_words(actual.rows)} in the copy, {expected.rows:,} in the backup: {change}"
            + _other_rows(expected, actual),
        )
    elif expected.digest != actual.digest:
        yield Difference(
            object=name,
            kind="content",
            message=f"{name} has {rows_in_words(actual.rows)} in the copy as in the backup, but "
            f"{_changed_rows(expected, actual)} not equal",
        )


def _changed_rows(expected: TableFingerprint, actual: TableFingerprint) -> str:
    """How many rows differ when the counts are equal: ``at least 2 (about 3) rows are``."""
    touched = _touched_buckets(expected, actual)
    least = max(math.ceil(touched / 2), 1)  # a changed row leaves one bucket and enters another
    verb = "row is" if least == 1 else "rows are"
    about = _about(expected, touched, per_row=2)
    return f"at least {least:,}{about} {verb}"


def _other_rows(expected: TableFingerprint, actual: TableFingerprint) -> str:
    """Whether more rows differ than the counts say: at least, by the buckets."""
    touched = _touched_buckets(expected, actual)
    more = touched - abs(expected.rows - actual.rows)
    if more <= 0:
        return ""
    return f", and at least {rows_in_words(math.ceil(more / 2))} not equal beside"


def _touched_buckets(expected: TableFingerprint, actual: TableFingerprint) -> int:
    """How many buckets of row hashes differ."""
    one, two = expected.buckets, actual.buckets
    if len(one) != len(two):
        return 0
    return sum(
        one[start : start + _BUCKET_DIGITS] != two[start : start + _BUCKET_DIGITS]
        for start in range(0, len(one), _BUCKET_DIGITS)
    )


def _about(table: TableFingerprint, touched: int, *, per_row: int) -> str:
    """The likely number of rows behind so many touched buckets; nothing when that is not more than the least."""
    buckets = len(table.buckets) // _BUCKET_DIGITS
    if touched < 2 or not buckets:
        return ""
    if touched == buckets:
        return f" (probably more than {min(2 * buckets, table.rows):,})"
    likely = math.log(1 - touched / buckets) / math.log(1 - 1 / buckets) / per_row
    return f" (about {round(likely):,})" if round(likely) > math.ceil(touched / per_row) else ""


def rows_in_words(number: int) -> str:
    """A number of rows: ``1 row``, ``2,000 rows``."""
    return "1 row" if number == 1 else f"{number:,} rows"
