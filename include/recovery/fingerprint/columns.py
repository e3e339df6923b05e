"""How a column enters the hash of its row.

The server's own record hash is fast, and sees equality as ``=`` does: 1.0 is 1.00, -0 is 0, one day is 24 hours, and
for a nondeterministic collation ``a`` is ``A``. It hashes enums and the like by OID, which differ after a restore,
folds 64-bit integers to 32 bits before it hashes them, and has nothing for json, point or tsvector. So each column
enters in a form in which two values are equal only when they would be dumped as the same text:

- **as it is**, where the hash takes in every bit of the value;
- **as its wire format**, where that is exact, knows no OIDs and no encoding, and is cheap;
- **as its text** everywhere else, by the type's own output function (a cast to text may lose: ``char(n)`` blanks).
"""

from __future__ import annotations

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
    def expression(self) -> str:
        """The SQL expression that enters the hash; its type is built in, without OIDs, and hashable."""
        value = quote(self.name)
        if self.is_domain:
            value = f"{value}::{quote(self.type_schema)}.{quote(self.type_name)}"
        if self.form is Form.WIRE:
            return f"pg_catalog.{WIRE[self.type_name]}({value})"
        if self.form is Form.TEXT and self.output is None:
            return f'pg_catalog.textin(pg_catalog.record_out(ROW({value}))) COLLATE "C"'
        if self.form is Form.TEXT:
            return f'pg_catalog.textin({self.output}({value})) COLLATE "C"'
        return f'{value} COLLATE "C"' if self.collatable else value


def quote(identifier: str) -> str:
    """An identifier as SQL needs it, always in quotes."""
    return '"' + identifier.replace('"', '""') + '"'


def row_expression(columns: tuple[Column, ...]) -> str:
    """A row of all columns in name order, because a restore may reorder the columns of inheritance children."""
    return f"ROW({', '.join(column.expression for column in in_name_order(columns))})"


def in_name_order(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """Columns sorted by the bytes of their names, independent of any collation."""
    return tuple(sorted(columns, key=lambda column: column.name.encode()))
