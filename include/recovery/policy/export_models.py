"""Exports: what of a database is also kept as CSV, for people and programs that do not read dumps."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from include.recovery.policy.base import Line, PolicyModel, Slug

READS = re.compile(r"^(select|with|table|values)\b", re.IGNORECASE)
"""What a statement that only reads begins with."""


class Export(PolicyModel):
    """A query whose result every dump keeps as CSV too, from the same snapshot. Give ``table`` or ``sql``."""

    name: Annotated[
        Slug,
        Field(description="Its name, unique in the source; part of every object key.", examples=["user-progress"]),
    ]
    table: Annotated[
        Line | None,
        Field(
            description="Schema-qualified name of a table or view, quoted as SQL needs it.",
            examples=["public.user_progress"],
        ),
    ] = None
    columns: Annotated[
        tuple[Line, ...],
        Field(description="Columns of the table to export; all when left out.", examples=[["user_id", "achievements"]]),
    ] = ()
    sql: Annotated[
        Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)] | None,
        Field(
            description="One reading statement (SELECT, WITH, TABLE, VALUES) whose result depends on nothing but the "
            "data; unqualified names are looked up in public.",
            examples=["select user_id, count(*) as lessons from user_progress group by user_id"],
        ),
    ] = None
    order_by: Annotated[
        tuple[Line, ...],
        Field(
            description="Columns of the result by which it is ordered (text by its bytes). What they leave open is "
            "ordered by the text of the whole row, so the same rows always give the same CSV.",
            examples=[["user_id"]],
        ),
    ] = ()
    note: Annotated[
        Line | None,
        Field(description="What it is for; every manifest repeats it.", examples=["for the users' own requests"]),
    ] = None

    @model_validator(mode="after")
    def _is_one_query(self) -> Export:
        if (self.table is None) == (self.sql is None):
            given = "neither" if self.table is None else "both"
            raise ValueError(f"found {given} of table and sql in export {self.name!r}; give one of them")
        if self.columns and self.table is None:
            raise ValueError(f"found columns beside sql in export {self.name!r}; name them in the statement itself")
        if self.sql is not None and (not READS.match(self.sql) or ";" in self.sql.rstrip("; \n")):
            raise ValueError(
                f"found {self.sql[:40]!r} in export {self.name!r}; allowed is one reading statement "
                "(SELECT, WITH, TABLE or VALUES) without a ';' inside"
            )
        return self
