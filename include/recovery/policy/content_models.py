"""What the policies of all sources but PostgreSQL share."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, StrictInt

from include.recovery.policy.base import PolicyModel, Slug


class OtherSource(PolicyModel):
    """A source that is neither a PostgreSQL database nor a cluster that Lifeboat can reach into."""

    physical: ClassVar[None] = None
    """Only PostgreSQL has clusters."""
    wal: ClassVar[None] = None
    """Only PostgreSQL has a log that is archived."""
    validation: ClassVar[tuple[()]] = ()
    """Kinds that ask questions of their own have fields of their own for them."""

    name: Annotated[
        Slug,
        Field(description="Name of the source, unique in the system; part of every object key.", examples=["uploads"]),
    ]
    kind: Annotated[
        str, Field(description="What the source is; decides how it is backed up.", examples=["files"])
    ]
    data_class: Annotated[
        Slug,
        Field(description="Which of the system's objectives hold for it.", examples=["tier-1"]),
    ]


class ContentSource(OtherSource):
    """A source that is backed up by its own kind's way, item by item."""

    zstd_level: Annotated[
        StrictInt, Field(ge=1, le=19, description="Compression level of zstd for its parts.", examples=[3])
    ] = 3
