"""Compare two fingerprints: what differs, in sentences, and how far the verdict reaches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal

from include.recovery.fingerprint.model import (
    Comparison,
    DatabaseFingerprint,
    Difference,
    DifferenceKind,
    NotCompared,
    SequenceFingerprint,
    TableFingerprint,
)
from include.recovery.fingerprint.table_differences import rows_in_words, table_differences

Sequences = Literal["equal", "at least"]

_ROLE = "role "
_GRANTS = "grants on "
_NAMED_AT_MOST = 50


def compare(
    expected: DatabaseFingerprint,
    actual: DatabaseFingerprint,
    *,
    tables: Iterable[str] | None = None,
    renamed: Mapping[str, str] | None = None,
    sequences: Sequences = "equal",
) -> Comparison:
    """Compare a restored copy with what its backup recorded.

    :param expected: the backup's fingerprint.
    :param actual: the copy's; best measured with ``measure_like``.
    :param tables: compare only the rows of these tables of the backup; None for everything.
    :param renamed: where tables were restored under other names: name in the backup to name in the copy.
    :param sequences: ``at least`` where the copy's sequences may be ahead (they are not transactional).
    """
    names = renamed or {}
    chosen = None if tables is None else tuple(tables)
    pairs = {name: names.get(name, name) for name in (expected.tables if chosen is None else chosen)}
    differences = [*_method(expected, actual)]
    if not differences:
        differences += table_differences(expected, actual, pairs, whole=chosen is None)
        if chosen is None:
            differences += _everything_else(expected, actual, sequences)
    compared = [expected.tables[name] for name, other in pairs.items() if _both(expected, actual, name, other)]
    sampled = sum(table.coverage == "sampled" for table in compared)
    return Comparison(
        identical=not differences and not sampled,
        compared_tables=len(compared),
        compared_rows=sum(table.rows for table in compared),
        differences=tuple(differences),
        not_compared=_not_compared(expected, actual, whole=chosen is None),
        sampled_tables=sampled,
        confidence=_confidence(expected.sample) if sampled else None,
    )


def _both(expected: DatabaseFingerprint, actual: DatabaseFingerprint, name: str, other: str) -> bool:
    return name in expected.tables and other in actual.tables


def _method(expected: DatabaseFingerprint, actual: DatabaseFingerprint) -> Iterator[Difference]:
    for what, one, two in (
        ("mode", expected.mode, actual.mode),
        ("share of rows", expected.sample, actual.sample),
    ):
        if one != two:
            yield Difference(
                object="fingerprint",
                kind="coverage",
                message=f"the fingerprints cannot be compared: the backup's {what} is {one}, the copy's is {two}; "
                "measure the copy in the way its backup was (measure_like)",
            )


def _everything_else(
    expected: DatabaseFingerprint, actual: DatabaseFingerprint, sequences: Sequences
) -> Iterator[Difference]:
    yield from _definitions(expected, actual)
    yield from _sequences(expected.sequences, actual.sequences, sequences)
    yield from _large_objects(expected.large_objects, actual.large_objects)
    yield from _roles(expected, actual)
    yield from _grants(expected, actual)
    yield from _extensions(expected.extensions, actual.extensions)


def _definitions(expected: DatabaseFingerprint, actual: DatabaseFingerprint) -> Iterator[Difference]:
    schemas = _differing_keys(expected.definitions, actual.definitions)
    if schemas:
        where = f"the schemas {', '.join(schemas)}"
        yield from _named(expected, actual, "definition", where, lambda name: not name.startswith((_ROLE, _GRANTS)))


def _grants(expected: DatabaseFingerprint, actual: DatabaseFingerprint) -> Iterator[Difference]:
    if expected.grants and actual.grants and expected.grants != actual.grants:
        yield from _named(expected, actual, "grants", "the database", lambda name: name.startswith(_GRANTS))


def _roles(expected: DatabaseFingerprint, actual: DatabaseFingerprint) -> Iterator[Difference]:
    """The copy's server may have more roles: they are the server's, not the database's."""
    if expected.roles and actual.roles and expected.roles != actual.roles:
        yield from _named(
            expected, actual, "roles", "the server", lambda name: name.startswith(_ROLE) and name in expected.items
        )


def _named(
    expected: DatabaseFingerprint,
    actual: DatabaseFingerprint,
    kind: DifferenceKind,
    where: str,
    wanted: Callable[[str], bool],
) -> Iterator[Difference]:
    """Differences by the names of the items that differ; all together where there are too many or none."""
    names = [name for name in _differing_keys(expected.items, actual.items) if wanted(name)]
    for name in names[:_NAMED_AT_MOST]:
        if name not in actual.items:
            message = f"{name} is missing in the copy"
        elif name not in expected.items:
            message = f"{name} is in the copy, and not in the backup"
        else:
            message = f"{name} is defined in another way in the copy than in the backup"
            if kind in {"roles", "grants"}:
                message = f"{name} differ in the copy" if kind == "grants" else f"{name} has other rights in the copy"
        yield Difference(object=name, kind=kind, message=message)
    if len(names) > _NAMED_AT_MOST:
        more = len(names) - _NAMED_AT_MOST
        yield Difference(object=where, kind=kind, message=f"{more} more items of this kind differ in {where}")
    if not names and kind != "roles":
        yield Difference(object=where, kind=kind, message=f"{kind}: {where} differ, and no item tells in what")


def _sequences(
    expected: Mapping[str, SequenceFingerprint], actual: Mapping[str, SequenceFingerprint], rule: Sequences
) -> Iterator[Difference]:
    for name in _differing_keys(expected, actual):
        if name not in actual:
            message = f"sequence {name} is missing in the copy"
        elif name not in expected:
            message = f"sequence {name} is in the copy, and not in the backup"
        else:
            before, after = expected[name], actual[name]
            ahead = (after.next_value - before.next_value) * (1 if before.increment > 0 else -1)
            if ahead == 0 or (rule == "at least" and ahead > 0):
                continue
            behind = "behind" if ahead < 0 else "ahead of"
            message = (
                f"sequence {name} gives {after.next_value} next in the copy, {behind} {before.next_value} in the backup"
            )
        yield Difference(object=name, kind="sequence", message=message)


def _large_objects(expected: TableFingerprint | None, actual: TableFingerprint | None) -> Iterator[Difference]:
    one, two = (0 if found is None else found.rows for found in (expected, actual))
    if one != two:
        message = f"there are {two:,} large objects in the copy, {one:,} in the backup"
    elif expected is not None and actual is not None and expected.digest != actual.digest:
        message = f"there are {two:,} large objects in the copy as in the backup, but their contents differ"
    else:
        return
    yield Difference(object="large objects", kind="large objects", message=message)


def _extensions(expected: Mapping[str, str], actual: Mapping[str, str]) -> Iterator[Difference]:
    for name in _differing_keys(expected, actual):
        copy, backup = _version(actual.get(name)), _version(expected.get(name))
        message = f"extension {name} is {copy} in the copy, {backup} in the backup"
        yield Difference(object=name, kind="extension", message=message)


def _version(version: str | None) -> str:
    return "missing" if version is None else f"version {version}"


def _differing_keys(one: Mapping[str, object], two: Mapping[str, object]) -> list[str]:
    return [key for key in sorted(one.keys() | two.keys()) if one.get(key) != two.get(key)]


def _not_compared(
    expected: DatabaseFingerprint, actual: DatabaseFingerprint, *, whole: bool
) -> tuple[NotCompared, ...]:
    """Everything that either side left out, so that nothing is skipped without a word."""
    if not whole:
        return (NotCompared(object="everything else", why="only the rows of the chosen tables are compared"),)
    entries = {entry.object: entry for entry in (*actual.not_compared, *expected.not_compared)}
    for what, one, two in (("roles", expected.roles, actual.roles), ("grants", expected.grants, actual.grants)):
        if one is None or two is None:
            side = "backup's" if one is None else "copy's"
            entries[what] = NotCompared(object=what, why=f"not measured: they are no part of the {side} fingerprint")
    return tuple(entries[name] for name in sorted(entries))


def _confidence(sample: float) -> str:
    """What equal samples prove. A row that is damaged by chance is in the sample with the probability ``sample``."""
    seen = {rows: 1 - (1 - sample) ** rows for rows in (1, 10, 100)}
    chances = ", ".join(f"{rows_in_words(rows)} with {_percent(chance)}" for rows, chance in seen.items())
    return f"a sample of {_percent(sample)} of the rows was compared, which shows damage to {chances}"


def _percent(share: float) -> str:
    return f"{share:.3%}".replace(".000%", "%") if share < 0.999995 else "more than 99.999%"
