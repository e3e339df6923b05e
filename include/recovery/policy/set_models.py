"""What holds a system's sources together."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from include.recovery.policy.base import PolicyModel, Slug


class Reconcile(PolicyModel):
    """Objects that a database names: after a recovery, each is looked for, and fetched from older versions."""

    database: Annotated[
        Slug, Field(description="Name of the PostgreSQL source whose rows name objects.", examples=["main-db"])
    ]
    objects: Annotated[
        Slug, Field(description="Name of the source that holds them.", examples=["uploads"])
    ]
    sql: Annotated[
        str,
        StringConstraints(min_length=1, strip_whitespace=True),
        Field(
            description="One reading statement that returns one column: the keys, as the objects' source names them. "
            "Any order.",
            examples=["select object_key from uploads where object_key is not null"],
        ),
    ]
