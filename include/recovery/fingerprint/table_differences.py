"""What differs between the rows of two tables, by their fingerprints, and in how many rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from include.recovery.fingerprint.model import DatabaseFingerprint, Difference, TableFingerprint
from include.recovery.fingerprint.sketch import Changes, changes


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
    found = changes(expected.sketch, actual.sketch, more_rows=0) or Changes(1, 0)
    if found.about is None:
        return "a great many rows are"
    least = max(found.least, 1)
    about = f" (about {found.about:,})" if found.about > least else ""
    return f"at least {least:,}{about} {'row is' if least == 1 and not about else 'rows are'}"


def _other_rows(expected: TableFingerprint, actual: TableFingerprint) -> str:
    """Whether more rows differ than the counts say."""
    found = changes(expected.sketch, actual.sketch, more_rows=actual.rows - expected.rows)
    if found is None or not found.least:
        return ""
    return f", and at least {rows_in_words(found.least)} not equal beside"


def rows_in_words(number: int) -> str:
    """A number of rows: ``1 row``, ``2,000 rows``."""
    return "1 row" if number == 1 else f"{number:,} rows"
