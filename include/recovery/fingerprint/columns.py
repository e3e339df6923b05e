"""How a column enters the hash of its row.

The server's hash functions are fast, and see equality as ``=`` does: 1.0 is 1.00, -0 is 0, one day is 24 hours, and for
a nondeterministic collation ``a`` is ``A``. Enums and the like are hashed by OID, which differ after a restore; 64-bit
integers are folded to 32 bits before they are hashed; and json, point or tsvector have no hash. So each column enters
in a form in which two values are equal only when they would be dumped as the same text:

- **as it is**, where the hash takes in every bit of the value;
- **as its wire format**, where that is exact, knows no OIDs and no encoding, and is cheap;
- **as its text** everywhere else, by the type's own output function (a cast to text may lose: ``char(n)`` blanks).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

AS_IS = frozenset({
    "bool", "int2", "int4", "oid", "char", "name", "text", "varchar", "bytea", "uuid", "date", "inet", "cidr",
    "macaddr", "macaddr8",
})  # fmt: skip
"""Built-in types whose hash covers every bit that their text shows."""

WIRE = {
    "int8": "int8send",
    "float4": "float4send",
    "float8": "float8send",
    "numeric": "numeric_send",
    "money": "cash_send",
    "timestamp": "timestamp_send",
    "timestamptz": "timestamptz_send",
    "time": "time_send",
    "timetz": "timetz_send",
    "interval": "interval_send",
    "point": "point_send",
    "bit": "bit_send",
    "varbit": "varbit_send",
}
"""Built-in types whose wire format is exact, with the function that makes it."""

HASHES = {
    "int2": "hashint2extended",
    "int4": "hashint4extended",
    "oid": "hashoidextended",
    "char": "hashcharextended",
    "name": "hashnameextended",
    "text": "hashtextextended",
    "varchar": "hashtextextended",
    "uuid": "uuid_hash_extended",
    "inet": "hashinetextended",
    "cidr": "hashinetextended",
    "macaddr": "hashmacaddrextended",
    "macaddr8": "hashmacaddr8extended",
}
"""Of the types that go as they are, those whose hash function SQL may call."""


class Form(Enum):
    """How a column enters the hash."""

    AS_IS = "as it is"
    WIRE = "wire format"
    TEXT = "text"


@dataclass(frozen=True)
class Column:
    """What the catalog says about a column and its type.

    :param name: the column's name, not quoted.
    :param type_schema: schema of the base type, domains resolved.
    :param type_name: the base type's name in ``pg_type``, such as ``int8`` or ``_text``.
    :param output: the base type's output function, qualified and quoted; None when it is declared for another type,
        so that SQL cannot call it with a value of this one.
    :param is_domain: whether the column's own type is a domain over the base type.
    :param collatable: whether the column has a collation.
    """

    name: str
    type_schema: str
    type_name: str
    output: str | None
    is_domain: bool = False
    collatable: bool = False

    @property
    def form(self) -> Form:
        """How it enters the hash."""
        if self.type_schema == "pg_catalog" and self.type_name in AS_IS:
            return Form.AS_IS
        if self.type_schema == "pg_catalog" and self.type_name in WIRE:
            return Form.WIRE
        return Form.TEXT

    @property
    def value(self) -> str:
        """SQL: the column's value as its base type."""
        name = quote(self.name)
        return f"{name}::{quote(self.type_schema)}.{quote(self.type_name)}" if self.is_domain else name

    @property
    def expression(self) -> str:
        """SQL: what enters the hash; its type is built in, without OIDs, and hashable."""
        if self.form is Form.WIRE:
            return f"pg_catalog.{WIRE[self.type_name]}({self.value})"
        if self.form is Form.TEXT and self.output is None:
            return f'pg_catalog.textin(pg_catalog.record_out(ROW({self.value}))) COLLATE "C"'
        if self.form is Form.TEXT:
            return f'pg_catalog.textin({self.output}({self.value})) COLLATE "C"'
        return f'{self.value} COLLATE "C"' if self.collatable else self.value

    def hashed(self, seed: int) -> str | None:
        """SQL: a 64-bit hash of the value, null for a null; None where only a record hash can have it."""
        if self.form is Form.TEXT:
            return f"pg_catalog.hashtextextended({self.expression}, {seed})"
        if self.form is Form.WIRE and self.type_name == "int8":
            # Its upper half first: then the folded whole tells the lower half.
            upper = f"pg_catalog.hashint8extended({self.value} >> 32, {seed})"
            return f"pg_catalog.hashint8extended({self.value}, {upper})"
        if self.form is Form.AS_IS and self.type_name in HASHES:
            return f"pg_catalog.{HASHES[self.type_name]}({self.expression}, {seed})"
        return None


def quote(identifier: str) -> str:
    """An identifier as SQL needs it, always in quotes."""
    return '"' + identifier.replace('"', '""') + '"'


def row_expression(columns: Sequence[Column]) -> str:
    """SQL: a row of columns."""
    return f"ROW({', '.join(column.expression for column in columns)})"


def in_name_order(columns: Sequence[Column]) -> tuple[Column, ...]:
    """Columns sorted by the bytes of their names: a restore may reorder the columns of inheritance children."""
    return tuple(sorted(columns, key=lambda column: column.name.encode()))
